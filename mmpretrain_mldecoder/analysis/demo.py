"""Find what MMEngine left in the folder of a training or a test."""

import json
import os
import re
import warnings
from pathlib import Path


def best_checkpoint(work_dir: str | os.PathLike) -> Path | None:
    """Find the best checkpoint so far, ``best_<metric>_epoch_<n>.pth``.

    Args:
        work_dir (str | PathLike): Folder of a training.

    Returns:
        Path, optional: None if there is none yet. Of several, the one of the latest epoch: a
        better one replaces its predecessor.
    """
    found = {
        int(match[1]): path
        for path in Path(work_dir).glob('best_*.pth')
        if (match := re.search(r'_epoch_(\d+)\.pth$', path.name))
    }
    return found[max(found)] if found else None


def is_trained(work_dir: str | os.PathLike, max_epochs: int) -> bool:
    """Whether a training is over: its last epoch's checkpoint and a best one exist.

    Args:
        work_dir (str | PathLike): Folder of a training.
        max_epochs (int): Epochs of the whole training.
    """
    last = Path(work_dir) / f'epoch_{max_epochs}.pth'
    return last.is_file() and best_checkpoint(work_dir) is not None


def newest_log(work_dir: str | os.PathLike) -> Path | None:
    """Find the text log of the latest run, ``<time>/<time>.log``; None if there is none."""
    return max(Path(work_dir).glob('*/*.log'), default=None)


def read_test_metrics(work_dir: str | os.PathLike, checkpoint: str | os.PathLike) -> dict | None:
    """Read the metrics of the latest test, ``<time>/<time>.json``.

    Args:
        work_dir (str | PathLike): Folder of tests of this checkpoint, and of no other.
        checkpoint (str | PathLike): A result that is older than this file is that of a
            predecessor of the same name, and does not count.

    Returns:
        dict, optional: What the evaluator gave, such as ``coco/mAP`` in percent; None if the
        checkpoint was not tested yet, or the file is damaged, as a killed test may leave it: then
        a warning names it.
    """
    path = max(Path(work_dir).glob('*/*.json'), default=None)
    if path is None or path.stat().st_mtime < Path(checkpoint).stat().st_mtime:
        return None
    try:
        metrics = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
    else:
        if metrics and isinstance(metrics, dict):
            return metrics
        reason = 'there are none in it'
    warnings.warn(f'{path} does not tell the metrics of a test: {reason}', stacklevel=2)
    return None
