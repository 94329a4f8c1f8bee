"""Curves of a training: loss and learning rate, and the mAP of EMA and raw weights."""

import json
import os
import warnings
from pathlib import Path

from matplotlib.figure import Figure

from .figure import BLUE, DPI, GREEN, ORANGE, YELLOW, save_figure


def plot_curves(work_dir: str | os.PathLike, out: str | os.PathLike) -> Path:
    """Draw what MMEngine logged while a model was trained, as a PNG, which is returned.

    Left: training loss and learning rate over iterations. Right: mAP in percent on the validation
    split over epochs, of the averaged weights (EMA) and of the raw ones, each with its best. Raises
    ``FileNotFoundError`` if ``work_dir`` holds no training log.
    """
    training, validation = read_scalars(work_dir)
    if not training:
        raise FileNotFoundError(
            f'no training log in {work_dir}: nothing in <time>/vis_data/scalars.json has a loss. '
            'Name the folder that --work-dir named when the model was trained'
        )
    figure = Figure(figsize=(11, 4), dpi=DPI, layout='constrained')
    loss_axes, map_axes = figure.subplots(1, 2)
    steps = [record['step'] for record in training]
    loss_axes.plot(steps, [record['loss'] for record in training], color=BLUE)
    loss_axes.set(xlabel='iteration', title='training')
    loss_axes.set_ylabel('loss', color=BLUE)
    rate_axes = loss_axes.twinx()
    rate_axes.plot(steps, [record['lr'] for record in training], color=YELLOW, ls='--')
    rate_axes.set_ylabel('learning rate (dashed)', color='#b37700')
    rate_axes.ticklabel_format(axis='y', style='sci', scilimits=(0, 0))

    for suffix, name, style in (
        ('mAP', 'EMA weights', dict(color=GREEN, marker='o')),
        ('mAP_raw', 'raw weights', dict(color=ORANGE, marker='s', ls='--')),
    ):
        points = [
            (record['step'], value)
            for record in validation
            for key, value in record.items()
            if key.split('/')[-1] == suffix and isinstance(value, int | float)
        ]
        if points:
            epochs, values = zip(*points, strict=True)
            label = f'{name}, best {max(values):.2f}'
            map_axes.plot(epochs, values, label=label, markersize=4, **style)
    map_axes.set(xlabel='epoch', ylabel='mAP (%)', title='validation')
    map_axes.xaxis.get_major_locator().set_params(integer=True)
    if map_axes.has_data():
        map_axes.legend()
    else:
        map_axes.text(0.5, 0.5, 'not validated', ha='center', transform=map_axes.transAxes)
    for axes in (loss_axes, map_axes):
        axes.grid(alpha=0.3)
    return save_figure(figure, out)


def read_scalars(work_dir: str | os.PathLike) -> tuple[list[dict], list[dict]]:
    """Read the scalars of all runs of one training, in the order of their steps.

    The logs are ``<time>/vis_data/scalars.json``. A resumed run repeats the steps since the
    checkpoint; its values count. Returned are the training records (``step`` is the iteration;
    ``loss``, ``lr``, ...) and the validation records (``step`` is the epoch; ``coco/mAP``, ...).
    Lines that are no such record, as a killed run leaves them, are left out; a warning counts them.

    Raises ``ValueError`` if a log has lines, but none is a record.
    """
    training, validation = [], []
    # Folders are named by the time of their start, so that their order is that of the runs.
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for joined, run in zip((training, validation), read_run_scalars(path), strict=True):
            if run:
                joined[:] = [r for r in joined if r['step'] < run[0]['step']] + run
    return training, validation


def read_run_scalars(path: Path) -> tuple[list[dict], list[dict]]:
    """Read the training and the validation records of one run, as :func:`read_scalars` does."""
    records = _records(path)
    training = [record for record in records if 'loss' in record]
    others = (record for record in records if 'loss' not in record)
    return training, [r for r in others if not any(name.startswith('test/') for name in r)]


def _records(path: Path) -> list[dict]:
    """Parse the lines of a log, one JSON object each."""
    lines = path.read_bytes().splitlines()
    records = [_record(line) for line in lines]
    lost = [number for number, record in enumerate(records, 1) if record is None]
    if lost and len(lost) == len(lines) > 1:
        raise ValueError(f'{path} is no log of a training: remove it, or copy it again')
    if lost:
        warnings.warn(
            f'{path}: {len(lost)} of {len(lines)} lines are left out, the first is line {lost[0]}: '
            'incomplete, or no record of a training',
            stacklevel=4,
        )
    return [record for record in records if record is not None]


def _record(line: bytes) -> dict | None:
    """Parse a line; return None if it is no record of a training."""
    try:
        record = json.loads(line)
        numbers = [record[name] for name in ('step', 'loss', 'lr')[: 3 if 'loss' in record else 1]]
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    return record if all(isinstance(number, int | float) for number in numbers) else None
