"""Export a checkpoint to ONNX: python tools/export_onnx.py CONFIG CKPT OUT.onnx."""

import argparse
import sys

from mmpretrain_mldecoder.apis.export.export_model import export_model
from mmpretrain_mldecoder.apis.export.parity import export_table
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.errors import ParityError


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(
        description='Export a checkpoint to one file that is enough to predict, and compare its '
        'scores with those of torch on real photos. A file that fails is not written.'
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='file, or a published name such as miil://...')
    parser.add_argument('out', metavar='OUT', help='.onnx, or .pt2 for an archive of torch.export')
    parser.add_argument('--dynamic-size', action='store_true', help='leave height and width free')
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument('--fp16', action='store_true', help='weights and sums in 16 bits')
    precision.add_argument(
        '--int8', metavar='CALIBRATION_DIR', help='backbone in 8 bits, calibrated on these photos'
    )
    parser.add_argument('--sigmoid', action='store_true', help='give scores instead of logits')
    parser.add_argument(
        '--photos',
        nargs='+',
        default=[],
        metavar='PHOTO',
        help='photos, folders or globs to compare on; default: the first of the test data',
    )
    parser.add_argument(
        '--tolerance', type=float, help='how far scores may be off; default 1e-4, fp16 1e-2'
    )
    parser.add_argument(
        '--max-map-drop', type=float, default=1.0, help='points of mAP that int8 may lose; 1.0'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=launch.CfgOptions, default={}, metavar='KEY=VALUE',
        help='change the config, such as test_dataloader.dataset.indices=500',
    )  # fmt: skip
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Export, and print what was compared."""
    parser, args = parse_args(argv)
    try:
        export = export_model(
            launch.load_config(args),
            args.checkpoint,
            args.out,
            dynamic_size=args.dynamic_size,
            precision='fp16' if args.fp16 else 'int8' if args.int8 else 'fp32',
            calibration=args.int8,
            sigmoid=args.sigmoid,
            photos=args.photos,
            tolerance=args.tolerance,
            max_map_drop=args.max_map_drop,
        )
    except ParityError as error:
        print(export_table(error.export))
        sys.exit(f'{parser.prog}: {error}')
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.error(str(error))
    print(export_table(export))


if __name__ == '__main__':
    main()
