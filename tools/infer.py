"""Predict the labels of images: python tools/infer.py photos/ CONFIG CKPT --out-dir out/.

A config runs as a program. Without one, from a checkpoint of somebody else's:
python tools/infer.py photos/ CKPT --no-config

With --out-dir, the same command again goes on where it was interrupted. Several processes share
the work: torchrun --nproc-per-node 2 tools/infer.py ...
"""

import argparse
import os
import sys
from pathlib import Path

from mmpretrain_mldecoder.apis import MultiLabelInferencer, expand_inputs
from mmpretrain_mldecoder.apis.predictions.prediction_run import (
    PredictionOptions,
    PredictionRun,
    model_identity,
    run_and_print,
)
from mmpretrain_mldecoder.apis.predictions.processes import Processes
from mmpretrain_mldecoder.engine.checks.config_error import read_config
from mmpretrain_mldecoder.engine.runners.launch import CfgOptions

WRONG = (OSError, ValueError, RuntimeError, ImportError, KeyError, SyntaxError)


def threshold(text: str) -> float | str:
    """Read the value of --thr."""
    return text if text == 'tuned' else float(text)


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments, and refuse those that do not go together."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition('\n')[0],
        usage='%(prog)s INPUT [INPUT ...] CONFIG CHECKPOINT [options]\n'
        '       %(prog)s INPUT [INPUT ...] CHECKPOINT --no-config [options]',
    )
    add = parser.add_argument
    add(
        'inputs',
        nargs='+',
        metavar='INPUT ... CONFIG CHECKPOINT',
        help='images, folders (recursive), globs, list files (.txt); config file of the model; '
        'checkpoint: file, or a name such as miil://...',
    )
    add(
        '--no-config',
        action='store_true',
        help='there is no CONFIG, which would be run: read that in the checkpoint as data',
    )
    add('--thr', type=threshold, default=0.5, help='lowest score of a label, or "tuned"; 0.5')
    add('--topk', type=int, help='at most so many labels of those; --thr 0: all')
    add('--out-dir', type=Path, help='write predictions.jsonl, failed.jsonl, contact_sheet.png')
    add('--csv', action='store_true', help='write predictions.csv too, a column a class')
    add('--images', action='store_true', help='draw each image with its labels')
    add('--attention', action='store_true', help='draw where the head looked for each label')
    add('--per-head', action='store_true', help='draw the attention of each head')
    add('--overwrite', action='store_true', help='make results anew that are in --out-dir')
    add('--device', help='cuda, cpu, ...; default: what the machine has')
    add('--batch-size', type=int, default=32, help='images a forward pass; 32')
    add('--backend', choices=('torch', 'onnx'), help='default: torch, then ONNX if it pays')
    add('--cfg-options', nargs='+', action=CfgOptions, default={}, metavar='KEY=VALUE')
    args = parser.parse_intermixed_args(argv)
    if len(args.inputs) < (2 if args.no_config else 3):
        wanted = 'INPUT CHECKPOINT' if args.no_config else 'INPUT CONFIG CHECKPOINT'
        parser.error(f'the following arguments are required: {wanted}')
    args.checkpoint = args.inputs.pop()
    args.config = None if args.no_config else args.inputs.pop()
    for name in ('csv', 'images', 'attention', 'overwrite'):
        if getattr(args, name) and not args.out_dir:
            parser.error(f'--{name} needs --out-dir, where it writes')
    if args.no_config and args.cfg_options:
        parser.error('--cfg-options changes a CONFIG, but with --no-config there is none')
    if args.per_head and not args.attention:
        parser.error('--per-head needs --attention')
    if args.attention and args.backend == 'onnx':
        parser.error('--attention needs torch, not --backend onnx')
    if args.config is not None and not os.path.isfile(args.config):
        parser.error(f'no config at {args.config}')
    if '://' not in args.checkpoint and not os.path.isfile(args.checkpoint):
        parser.error(f'no checkpoint at {args.checkpoint}')
    return parser, args


def main(argv: list[str] | None = None) -> None:
    """Predict, print a table as results come, and write what --out-dir asks for."""
    parser, args = parse_args(argv)
    options = PredictionOptions(
        args.thr, args.topk, args.images, args.attention, args.per_head, args.csv
    )
    try:
        processes = Processes.from_environment()
        paths = expand_inputs(args.inputs)
        device = processes.device(args.device)
        with_options = (args.checkpoint, device, args.batch_size, args.backend)
        if args.no_config:
            inferencer = MultiLabelInferencer.from_checkpoint(*with_options)
        else:
            config = read_config(args.config)
            config.merge_from_dict(args.cfg_options)
            inferencer = MultiLabelInferencer(config, *with_options)
        identity = model_identity(args.config, args.checkpoint)
        run = PredictionRun(
            inferencer, identity, paths, options, args.out_dir, processes, args.overwrite
        )
    except WRONG as error:
        parser.error(' '.join(str(error).split()) or type(error).__name__)
    if run.num_done:
        print(f'{run.num_done} of {len(set(run.paths))} images were predicted before')

    try:
        run_and_print(run, bar=processes.rank == 0)
        files = run.finish()
        processes.leave()
    except RuntimeError as error:
        if args.backend != 'onnx':
            raise
        parser.error(str(error))  # it cannot be exported
    except KeyboardInterrupt:
        kept = 'the same command goes on from here' if args.out_dir else 'nothing was written'
        print(f'interrupted: {kept}', file=sys.stderr)
        sys.exit(130)
    for file in files:
        print(f'{file.stem.replace("_", " ")}: {file}')
    if run.num_failed:
        print(f'{run.num_failed} of {len(run.paths)} images could not be read', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    main()
