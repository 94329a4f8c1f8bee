"""CSV files with a header: one column with the labels, or one column a class.

Sources: Planet (Kaggle; ``image_name,tags``), ChestX-ray14 (``Finding Labels`` with ``|``),
fastai's PASCAL 2007 (``fname,labels,is_valid``), CheXpert (a column a class: 1, 0, -1, empty)::

    image,labels                     image,cat,dog
    a.jpg,"cat,dog"                  a.jpg,1,1
    b.jpg,                           b.jpg,0,
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

from ...errors import OpenQuestion
from ...fileio.terminal import printable
from .answers import Answers
from .csv_table import (
    CsvTable,
    group_column,
    image_column,
    possible_delimiters,
    read_csv,
    split_column,
)
from .image_names import has_image_suffix
from .label_separator import split_cells
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels
from .label_values import are_values, targets_of

_LABEL_NAMES = ('label', 'tag', 'class', 'categor', 'target', 'genre', 'attribute')


def recognises(source: LabelSource) -> bool:
    """Whether it is a table whose first row are no images."""
    if source.path.suffix.lower() not in ('.csv', '.tsv', '.txt') or len(source.lines) < 2:
        return False
    possible = possible_delimiters(source.head)
    first = source.lines[0]
    cells = [cell for delimiter in possible for cell in first.split(delimiter)]
    return bool(cells) and not any(map(has_image_suffix, cells))


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    table = read_csv(source.path, answers)
    image = image_column(table, source, answers)
    split, splits = split_column(table)
    taken = (image, split, answers.group_column)
    others = {name: table.column(name) for name in table.header if name and name not in taken}
    columns = _label_columns(table, others, answers)
    unused = [name for name in others if name not in columns]
    notes = [f'columns not used: {", ".join(map(printable, unused))}'] if unused else []
    if all(are_values(table.column(name)) for name in columns):
        counts = Counter(chain.from_iterable(map(table.column, columns)))
        targets = targets_of(counts, source.path, answers)
        by_class = [map(targets.__getitem__, table.column(name)) for name in columns]
        of_rows = [
            dict(zip(columns, values, strict=True)) for values in zip(*by_class, strict=True)
        ]
        classes = columns
    elif len(columns) == 1:
        cells = split_cells(table.column(columns[0]), source.path, answers)
        of_rows = [dict.fromkeys(labels, 1) for labels in cells]
        classes = ()
    else:
        wrong = next(name for name in columns if not are_values(table.column(name)))
        raise ValueError(
            f'{source.path}: label_columns has {len(columns)} columns, but {wrong!r} has other '
            'values than 1, 0, -1 and empty. Name one column with lists, or one column a class'
        )
    groups = group_column(table, answers)
    rows = zip(table.column(image), of_rows, splits, groups, strict=True)
    return Labels([LabelRow(*row) for row in rows], classes, notes)


def _label_columns(
    table: CsvTable, others: Mapping[str, Sequence[str]], answers: Answers
) -> tuple[str, ...]:
    if answers.label_columns is not None:
        for name in answers.label_columns:
            table.column(name)
        return answers.label_columns
    of_values = tuple(name for name, column in others.items() if are_values(column))
    lists = [name for name in others if name not in of_values]
    named = [name for name in lists if any(word in name.lower() for word in _LABEL_NAMES)]
    if of_values and not named:
        return of_values
    if not of_values and len(named or lists) == 1:
        return tuple(named or lists)
    choices = {
        (name,): f'its cells are such as {_example(others[name])}' for name in named or lists
    }
    if of_values:
        listed = ', '.join(map(printable, of_values[:5]))
        choices[of_values] = f'{len(of_values)} columns with values such as 0 and 1: {listed}'
    raise OpenQuestion('label_columns', f'{table.path}: which columns have the labels?', choices)


def _example(column: Sequence[str]) -> str:
    return printable(max(column[:100], key=len, default='')[:60])


FORMAT = LabelFormat('csv', 'CSV', recognises, read)
