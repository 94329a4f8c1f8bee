"""Thresholds in the meta of a checkpoint."""

import os
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

import numpy as np
import torch

from ...checkpoints.classes import compare_classes
from ...checkpoints.load import load_weights_only
from ...fileio.atomic_write import atomic_write

TOOL = 'tools/analysis_tools/tune_thresholds.py'


def check_storable(checkpoint: str | os.PathLike, out: str | os.PathLike | None = None) -> None:
    """Raise what :func:`store_thresholds` would raise; for a check before the long part."""
    read_trained(checkpoint)
    target = Path(out or checkpoint).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f'no folder {target.parent} to write {target.name} to')
    if target.is_dir():
        raise ValueError(f'{target} is a folder: name the file to write')
    for path in (target.parent, target):
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(f'{path} is read-only: name another file to write with --out')


def store_thresholds(
    checkpoint: str | os.PathLike, thresholds: dict, out: str | os.PathLike | None = None
) -> Path:
    """Write the checkpoint with ``meta['thresholds']``; older thresholds are replaced.

    The file is the old one or the new one at any moment; a link stays a link to it.

    Args:
        checkpoint (str | PathLike): A checkpoint of MMEngine's on this machine.
        thresholds (dict): Plain values only: what :func:`stored_thresholds` reads.
        out (str | PathLike, optional): The file to write. Defaults to ``checkpoint`` itself.

    Returns:
        Path: The file that was written.

    Raises:
        FileNotFoundError: If the checkpoint, or the folder of ``out``, is not there.
        PermissionError: If the file or its folder may not be written.
        ValueError: If the checkpoint is not MMEngine's.
    """
    check_storable(checkpoint, out)
    content = read_trained(checkpoint)
    content['meta']['thresholds'] = thresholds
    target = Path(out or checkpoint).resolve()
    with atomic_write(target) as path:
        torch.save(content, path)
    return target


def read_trained(checkpoint: str | os.PathLike) -> dict:
    """Read a checkpoint of a training; all tensors stay on the CPU."""
    if '://' in os.fspath(checkpoint):
        raise ValueError(f'{checkpoint} is an address: download the file and name that')
    content = load_weights_only(checkpoint, map_location='cpu')
    parts = content if isinstance(content, dict) else {}
    if not all(isinstance(parts.get(key), dict) for key in ('state_dict', 'meta')):
        raise ValueError(
            f'{checkpoint} is no checkpoint of a training: it has no state_dict and meta, where '
            'thresholds are stored'
        )
    return content


def stored_thresholds(meta: dict, classes: Sequence[str]) -> np.ndarray:
    """Return the threshold per class that ``tools/analysis_tools/tune_thresholds.py`` stored.

    A class is predicted where its score is at least its threshold. Nothing in the file is trusted.

    Args:
        meta (dict): The ``meta`` of a checkpoint. Its ``thresholds`` is a dict with ``classes``,
            the names, and ``values``, a number in ``[0, 1]`` per name. (The rest says where they
            come from: ``criterion``, ``split``, ``num_images``, ``date``, ...)
        classes (Sequence[str]): The names, in the order of the scores.

    Shape:
        - Output: ``(C,)`` float64.

    Raises:
        ValueError: If there are none, if they are of other classes or in another order, or are not
            numbers in ``[0, 1]``.
    """
    stored = meta.get('thresholds') if isinstance(meta, dict) else None
    if stored is None:
        fix = f'store some with {TOOL}, or name one number for all classes'
        raise ValueError(f'the checkpoint has no thresholds of its own: {fix}')
    if error := _invalid(stored, classes):
        raise ValueError(f'{error}: fit them again with {TOOL}')
    return np.array(stored['values'], dtype=np.float64)


def _invalid(stored: object, classes: Sequence[str]) -> str | None:
    parts = stored if isinstance(stored, dict) else {}
    names, values = parts.get('classes'), parts.get('values')
    if not names or not all(isinstance(each, list | tuple) for each in (names, values)):
        return "the checkpoint's meta.thresholds is not a dict with lists of classes and values"
    if len(values) != len(names):
        return f'the checkpoint has {len(values)} thresholds for {len(names)} classes'
    change = compare_classes(names, classes)
    if change is not None and not change.is_same:
        difference = change.first_difference('the model', "the checkpoint's meta.thresholds")
        return f'the thresholds in the checkpoint are not of the model: {difference}'
    for name, value in zip(names, values, strict=True):
        # A bool is a number to Python; `not` because nan compares false.
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
            wanted = f'must be a number in [0, 1], but is {value!r}'
            return f'the threshold of class {name!r} in the checkpoint {wanted}'
    return None
