"""Thresholds of the classes, as a checkpoint's ``meta`` carries them."""

from collections.abc import Sequence
from numbers import Real

import numpy as np

TOOL = 'tools/analysis_tools/tune_thresholds.py'


def stored_thresholds(meta: dict, classes: Sequence[str]) -> np.ndarray:
    """Return the thresholds that ``tools/analysis_tools/tune_thresholds.py`` stored, one a class.

    A class is predicted where its score is at least its threshold. Nothing in the file is taken
    on trust: neither the types nor the range, nor which class a threshold is of.

    Args:
        meta (dict): The ``meta`` of a checkpoint. Its ``thresholds`` is a dict with ``classes``,
            the names, and ``values``, one number in ``[0, 1]`` a name. (What else is in there says
            where they come from: ``criterion``, ``split``, ``num_images``, ``date``, ...)
        classes (Sequence[str]): The names, in the order of the scores.

    Shape:
        - Output: ``(C,)`` float64.

    Raises:
        ValueError: If there are none, if they are of other classes or in another order, or are not
            numbers in ``[0, 1]``.
    """
    stored = meta.get('thresholds') if isinstance(meta, dict) else None
    if stored is None:
        raise ValueError(
            f'the checkpoint has no thresholds of its own: store some with {TOOL}, or name one '
            'number for all classes'
        )
    again = f'fit them again with {TOOL}'
    names, values = (
        (stored.get('classes'), stored.get('values')) if isinstance(stored, dict) else (None, None)
    )
    if not isinstance(names, list | tuple) or not isinstance(values, list | tuple):
        raise ValueError(
            "the checkpoint's meta.thresholds is not a dict with lists of classes and values: "
            + again
        )
    if list(names) != list(classes):
        raise ValueError(
            'the thresholds in the checkpoint are not of the model: '
            f'{_difference(names, classes)}; {again}'
        )
    if len(values) != len(names):
        raise ValueError(
            f'the checkpoint has {len(values)} thresholds for {len(names)} classes: {again}'
        )
    for name, value in zip(names, values, strict=True):
        # A bool is a number to Python; `not` because nan compares false.
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
            raise ValueError(
                f'the threshold of class {name!r} in the checkpoint must be a number in [0, 1], '
                f'but is {value!r}: {again}'
            )
    return np.array(values, dtype=np.float64)


def _difference(names: Sequence[str], classes: Sequence[str]) -> str:
    """Say where two lists of names part."""
    if len(names) != len(classes):
        return f'they are of {len(names)} classes, the model has {len(classes)}'
    at = next(i for i, pair in enumerate(zip(names, classes, strict=True)) if pair[0] != pair[1])
    return f'class {at} is {names[at]!r} there and {classes[at]!r} here'
