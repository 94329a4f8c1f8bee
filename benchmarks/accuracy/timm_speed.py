"""Images/s of training, ours beside timm: ``python -m benchmarks.accuracy.timm_speed``.

Both fine-tune EfficientNet-Lite0 with a linear head on the first photos of VOC 2007, decoding and
augmentation included: ours by ``tools/train.py`` on the config of :mod:`.fine_tuning`, theirs as in
:mod:`.timm_training`; on a GPU, if there is one, in fp16. They run in turn. A figure is the mean
step of all epochs but the first, without start and checkpoints; of the rounds the best one counts.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.accuracy.fine_tuning import Run, call
from benchmarks.accuracy.photos import REPOSITORY, paths_and_targets
from benchmarks.accuracy.records import OUT
from benchmarks.accuracy.timm_training import ListReader, train
from benchmarks.comparison import Comparison, report

LR = 1e-4


def our_step(settings: Run, args: argparse.Namespace, folder: Path, compiled: bool) -> float:
    """Return the mean seconds of a step of ``tools/train.py``."""
    cfg = settings.config(LR, args.out)
    cfg.train_dataloader.batch_size = args.batch
    cfg.train_dataloader.num_workers = args.workers
    cfg.train_dataloader.dataset.indices = args.steps * args.batch
    cfg.compile = compiled
    cfg.default_hooks.logger.interval = 1
    cfg.log_processor = dict(window_size=1)
    cfg.dump(folder / 'config.py')
    tool = REPOSITORY / 'tools/train.py'
    call(
        [sys.executable, tool, folder / 'config.py', '--work-dir', folder, '--no-validate'], folder
    )
    log = max(folder.glob('*/vis_data/scalars.json'))  # of the newest run
    steps = map(json.loads, log.read_text().splitlines())
    return _mean([(step['epoch'] - 1, step['time']) for step in steps], args)


def their_step(settings: Run, args: argparse.Namespace, folder: Path, compiled: bool) -> float:
    """Return the mean seconds of a step of timm's parts."""
    paths, targets = paths_and_targets(settings.dataset, settings.train_split, args.out)
    count = args.steps * args.batch
    reader = ListReader(paths[:count], targets[:count])
    training = train(settings, LR, reader, args.batch, args.workers, compiled)
    times = enumerate(training.step_seconds)
    return _mean([(epoch, float(step)) for epoch, steps in times for step in steps], args)


def _mean(steps: list[tuple[int, float]], args: argparse.Namespace) -> float:
    """Return the mean of ``(epoch, seconds)``, those of epoch 0 left out."""
    if len(steps) != args.epochs * args.steps:
        raise ValueError(f'{len(steps)} steps logged, not {args.epochs} x {args.steps}')
    return sum(seconds for epoch, seconds in steps if epoch) / ((args.epochs - 1) * args.steps)


def compare(args: argparse.Namespace, size: int, threads: int, compiled: bool) -> Comparison:
    """Return one row."""
    settings = replace(Run('voc2007', 'linear'), size=size, epochs=args.epochs)
    sides: dict[str, Callable] = dict(ours=our_step, timm=their_step)
    seconds = dict.fromkeys(sides, float('inf'))
    for _ in range(args.rounds):
        for name, step in sides.items():
            folder = (args.out / 'speed' / name).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            seconds[name] = min(seconds[name], step(settings, args, folder, compiled))
    what = f'{size} px, batch {args.batch}, threads: {threads}, workers: {args.workers}'
    return Comparison(
        what=f'fine-tuning at {what}{", compiled" if compiled else ""}',
        ours=args.batch / seconds['ours'],
        unit='images/s',
        peer=args.batch / seconds['timm'],
        peer_name="timm's parts",
        note=f'{args.epochs - 1} epochs of {args.steps} steps after the first',
    )


def main() -> None:
    """Parse the arguments, time both and report."""
    parser = argparse.ArgumentParser(description='Time training beside timm.')
    parser.add_argument('--sizes', type=int, nargs='+', default=[224], help='pixels')
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--compile', action='store_true', help='compiled, too')
    parser.add_argument('--workers', type=int, default=1, help='of each dataloader')
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--steps', type=int, default=15, help='of an epoch')
    parser.add_argument('--epochs', type=int, default=2, help='of which the first is not counted')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--out', type=Path, default=OUT, help='for checkpoints and results')
    args = parser.parse_args()
    rows = []
    for threads in args.threads:
        os.environ['OMP_NUM_THREADS'] = str(threads)  # of our program
        torch.set_num_threads(threads)
        for size in args.sizes:
            for compiled in (False, True)[: 1 + args.compile]:
                rows.append(compare(args, size, threads, compiled))
    report(
        'timm_speed',
        rows,
        args.out / 'results',
        ('torch', 'torchvision', 'timm', 'mmengine', 'mmpretrain'),
    )


if __name__ == '__main__':
    main()
