"""A table with one line per class for the log."""

import math
from collections.abc import Sequence
from unicodedata import east_asian_width

import numpy as np

from ...printable import printable

_GAP = '  |  '


def class_table(
    classes: Sequence[str], positives: np.ndarray, ap: np.ndarray, width: int = 120
) -> str:
    """Lay out name, positives and AP of every class, in as many columns as fit.

    The classes keep their order and run down the first column, then down the next.

    Args:
        classes (Sequence[str]): The names.
        positives (np.ndarray): Number of positive images per class.
        ap (np.ndarray): AP per class as a fraction, printed in percent; ``-`` for nan.
        width (int): Characters a line may have, if one column fits into it. Defaults to 120.

    Shape:
        - positives, ap: ``(C,)``.

    Returns:
        str: The lines, a header first.
    """
    header = ('class', 'positives', 'AP')
    cells = [
        (printable(name), str(count), '-' if np.isnan(value) else f'{100 * value:.2f}')
        for name, count, value in zip(classes, positives, ap, strict=True)
    ]
    name_width = max(_display_width(name) for name, *_ in [header, *cells])

    def line(name: str, count: str, value: str) -> str:
        return f'{name}{" " * (name_width - _display_width(name))}  {count:>9}  {value:>6}'

    line_width = _display_width(line(*header))
    num_columns = max(1, (width + len(_GAP)) // (line_width + len(_GAP)))
    num_rows = max(1, math.ceil(len(cells) / num_columns))
    columns = [
        [line(*cell) for cell in (header, *cells[start : start + num_rows])]
        for start in range(0, len(cells), num_rows)
    ]
    rows = [[column[row] for column in columns if row < len(column)] for row in range(num_rows + 1)]
    return '\n'.join(_GAP.join(row) for row in rows)


def _display_width(text: str) -> int:
    """Columns of a terminal that ``text`` takes: Chinese characters take two."""
    return sum(2 if east_asian_width(character) in 'WF' else 1 for character in text)
