"""Predict the labels of images: python tools/infer.py images/ CONFIG CKPT --out-dir out/.

With --out-dir, the same command resumes what was interrupted. Under torchrun, ranks share images.
"""

import argparse
import sys

from mmpretrain_mldecoder import apis
from mmpretrain_mldecoder.engine.runners.launch import CfgOptions
from mmpretrain_mldecoder.errors import RunError, exit_on_error
from mmpretrain_mldecoder.fileio.terminal import one_line

INPUTS = 'images, folders, globs or list files (.txt); the config, which is run; the checkpoint'


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(description='Predict the labels of images.')
    add = parser.add_argument
    add('inputs', nargs='+', metavar='INPUT ... CONFIG CHECKPOINT', help=INPUTS)
    add('--no-config', action='store_true', help='INPUT ... CHECKPOINT: its config, read as data')
    add('--thr', default=0.5, help='lowest score of a label, or "tuned"; 0.5')
    add('--topk', type=int, help='at most so many labels of those; --thr 0: all')
    add('--out-dir', help='write predictions.jsonl, failed.jsonl, contact_sheet.png')
    add('--csv', action='store_true', help='write predictions.csv too, one column per class')
    add('--images', '--pictures', action='store_true', help='draw each image with its labels')
    add('--attention', action='store_true', help='draw where the head looked for each label')
    add('--per-head', action='store_true', help='draw the attention of each head')
    add('--overwrite', action='store_true', help='replace earlier results in --out-dir')
    add('--device', help='cuda, cpu, ...; default: what the machine has')
    add('--batch-size', type=int, default=32, help='images per forward pass; 32')
    add('--backend', choices=('torch', 'onnx'), help='default: torch, then ONNX if it pays')
    add('--cfg-options', nargs='+', action=CfgOptions, default={}, metavar='KEY=VALUE')
    return parser, parser.parse_intermixed_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Predict, print a line per image as results come, and write what --out-dir asks for."""
    parser, args = parse_args(argv)
    with exit_on_error('the same command resumes' if args.out_dir else 'nothing was written'):
        try:
            run = apis.PredictionRun.from_arguments(args)
            if run.num_done:
                print(f'{run.num_done} of {len(set(run.paths))} images were predicted before')
            for result in run.results():
                stream = sys.stderr if 'reason' in result else None
                print(f'{run.line(result)}\n', end='', file=stream, flush=True)  # in one write
            for file in run.finish():
                print(f'{file.stem.replace("_", " ")}: {file}')
        except (ImportError, OSError, RunError, ValueError) as error:
            parser.error(one_line(error))
    if run.num_failed:
        parser.exit(1, f'{run.num_failed} of {len(run.paths)} images could not be read\n')


if __name__ == '__main__':
    main()
