"""Which columns of a table have the labels, and the labels of its rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from ...errors import OpenQuestion
from ...fileio.near_names import near_names
from ...fileio.terminal import printable
from .answers import Answers
from .label_separator import split_cells
from .label_values import are_values, targets_of

_LABEL_NAMES = ('label', 'tag', 'class', 'categor', 'target', 'genre', 'attribute')


def labels_of_columns(
    columns: Mapping[str, Sequence[str]], path: Path, answers: Answers
) -> tuple[list[dict[str, int]], tuple[str, ...], list[str]]:
    """Return the labels of each row, the classes if each has a column, and notes.

    Args:
        columns (Mapping): The cells of the columns that have neither images nor splits.
        path (Path): The file, for messages.
        answers (Answers): ``label_columns`` and what the cells mean.

    Raises:
        OpenQuestion: If it is not clear which columns have the labels, or what their cells mean.
        ValueError: If several columns are named that are no columns of a class each.
    """
    chosen = _label_columns(columns, path, answers)
    cells = [columns[name] for name in chosen]
    unused = [name for name in columns if name not in chosen]
    notes = [f'columns not used: {", ".join(map(printable, unused))}'] if unused else []
    if all(map(are_values, cells)):
        targets = targets_of(Counter(chain.from_iterable(cells)), path, answers)
        # A class may be empty in this file, and not in that of another split.
        blank = [name for name in columns if not ''.join({*columns[name]}).strip()]
        named = (*chosen, *blank) if targets.get('') == -1 else chosen
        per_row = zip(*(map(targets.__getitem__, columns[name]) for name in named), strict=True)
        return [dict(zip(named, values, strict=True)) for values in per_row], chosen, notes
    if len(chosen) > 1:
        wrong = next(name for name in chosen if not are_values(columns[name]))
        raise ValueError(
            f'{path}: label_columns has {len(chosen)} columns, but {wrong!r} has other values than '
            '1, 0, -1 and empty. Name one column with lists, or one column a class'
        )
    lists = split_cells(cells[0], path, answers)
    return [dict.fromkeys(labels, 1) for labels in lists], (), notes


def _label_columns(
    columns: Mapping[str, Sequence[str]], path: Path, answers: Answers
) -> tuple[str, ...]:
    if answers.label_columns:
        for name in answers.label_columns:
            if name not in columns:
                raise ValueError(
                    f'label_columns: {path} has no column {name!r}{near_names(name, columns)}. '
                    f'Its columns are: {", ".join(map(printable, columns))}'
                )
        return answers.label_columns
    if not columns:
        raise ValueError(f'{path} has no column beside that of the images: no labels there')
    of_values = tuple(name for name, cells in columns.items() if are_values(cells))
    lists = [name for name in columns if name not in of_values]
    named = [name for name in lists if any(word in name.lower() for word in _LABEL_NAMES)]
    if of_values and not named:
        return of_values
    if not of_values and len(named or lists) == 1:
        return tuple(named or lists)
    choices = {
        (name,): f'its cells are such as {_example(columns[name])}' for name in named or lists
    }
    if of_values:
        listed = ', '.join(map(printable, of_values[:5]))
        choices[of_values] = f'{len(of_values)} columns with values such as 0 and 1: {listed}'
    raise OpenQuestion('label_columns', f'{path}: which columns have the labels?', choices)


def _example(cells: Sequence[str]) -> str:
    return printable(max(cells[:100], key=len, default='')[:60])
