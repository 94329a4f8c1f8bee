"""Export a checkpoint to ONNX: python tools/export_onnx.py CONFIG CKPT OUT.onnx."""

import argparse

from rich.console import Console

from mmpretrain_mldecoder import apis
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.errors import ParityError
from mmpretrain_mldecoder.fileio.terminal import one_line


def main(argv: list[str] | None = None) -> None:
    """Export, and print what was compared."""
    parser = argparse.ArgumentParser(description='Export a model if its scores are those of torch.')
    add = parser.add_argument
    add('config', help='config file')
    add('checkpoint', help='file, or a published name such as miil://...')
    add('out', metavar='OUT', help='.onnx, or .pt2 for an archive of torch.export')
    add('--dynamic-size', action='store_true', help='leave height and width free')
    precision = parser.add_mutually_exclusive_group().add_argument
    precision('--fp16', action='store_true', help='weights and sums in 16 bits')
    precision('--int8', metavar='CALIBRATION_DIR', help='backbone in 8 bits; photos to calibrate')
    add('--float-input', action='store_true', help='take normalised RGB, not the uint8 image')
    add('--opset', type=int, help='of ONNX, 17 to 24; lower ones suit older runtimes')
    add('--sigmoid', action='store_true', help='give scores instead of logits')
    add('--photos', nargs='+', default=[], help='files, folders or globs; default: the test data')
    add('--tolerance', type=float, help='how far scores may be off; default 1e-4, fp16 1e-2')
    add('--max-map-drop', type=float, help='points of mAP that int8 may lose; 1.0')
    launch.add_options(parser)
    args = parser.parse_args(argv)
    if args.max_map_drop is not None and not args.int8:
        parser.error('--max-map-drop is for --int8; other files are compared score by score')
    console = Console(highlight=False, soft_wrap=True)
    try:
        export = apis.export_model(
            launch.load_config(args),
            args.checkpoint,
            args.out,
            dynamic_size=args.dynamic_size,
            precision='fp16' if args.fp16 else 'int8' if args.int8 else 'fp32',
            calibration=args.int8,
            sigmoid=args.sigmoid,
            photos=args.photos,
            tolerance=args.tolerance,
            max_map_drop=1.0 if args.max_map_drop is None else args.max_map_drop,
            float_input=args.float_input,
            opset=args.opset,
        )
    except ParityError as error:
        console.print(apis.export_report(error.export))
        parser.exit(1, f'{parser.prog}: {error}\n')
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.error(one_line(error))
    console.print(apis.export_report(export))


if __name__ == '__main__':
    main()
