"""Labels of a table, and which of its columns have images, labels, splits and groups."""

import re
from collections.abc import Sequence
from itertools import chain

from ...errors import OpenQuestion
from ...fileio.terminal import counted, printable
from .csv_table import CsvTable
from .edits import Changes, edit_names, edit_rows
from .image_names import has_image_suffix
from .label_separator import joiner_of, split_cells
from .label_table import LabelRow, Labels, split_of_word
from .label_values import (
    are_values,
    refuse_vectors,
    target_of_no_row,
    targets_of,
    texts_of,
)

_SAMPLE = 200  # rows
_LABEL_NAMES = ('label', 'tag', 'class', 'categor', 'target', 'genre', 'attribute')
_SPLIT_NAMES = ('split', 'subset', 'set', 'partition', 'ml_use', 'usage')
_CONFIDENCE = 'confidence'
_IS_VALID = 'is_valid'  # fastai's: whether an image is of the validation set
_GROUP = re.compile(
    r'(patient|subject|person|group|video|scene|sequence|burst|location|session)[ _-]?'
    r'(id|no|number|name)?',
    re.IGNORECASE,
)
_VALID = {'true': 'val', '1': 'val', 'false': 'train', '0': 'train', '': 'train'}


def labels_of_table(
    table: CsvTable, image: str | None = None, chosen: Sequence[str] = ()
) -> Labels:
    """Return the labels of a table, where a format may say which columns have images and labels.

    Raises:
        OpenQuestion: If it is not clear which columns have the images or the labels, or what cells
            mean.
        ValueError: If a column is not there, or several are named that are not one a class.
    """
    answers = table.source.answers
    image = image_column(table, image)
    images = table.column(image)
    if table.source.images.find(image, table.source.folder)[0]:
        raise ValueError(
            f'{table.source.path}: {image!r} in the first row is the name of an image, so there is '
            'no header: add one, such as image,labels'
        )
    _, splits = _split_column(table)
    groups = table.column(answers.group_column) if answers.group_column else [''] * len(images)
    of_rows, labels = _labels(_without(table, image), answers.label_columns or chosen)
    rows = zip(images, of_rows, splits or [''] * len(images), map(str.strip, groups), strict=True)
    is_split = bool(answers.group_column or splits)
    notes = [*labels.notes, *([] if is_split else _alike(table))]
    return labels._replace(rows=[LabelRow(*row) for row in rows], notes=notes)


def edit_table(table: CsvTable, changes: Changes, image: str | None = None) -> str | None:
    """Return the text of a CSV file with labels changed, see :func:`labels_of_table`.

    None where rows have labels that their image lacks.
    """
    answers = table.source.answers
    image = image_column(table, image)
    chosen = answers.label_columns or _label_columns(_without(table, image))
    cells = [table.columns[name] for name in chosen]
    place = {name: i for i, name in enumerate(table.columns)}
    are_lists = not all(map(are_values, cells))
    if are_lists and _confidence(table):
        return None
    if are_lists:
        lists, join = split_cells(cells[0], table.source), joiner_of(cells[0], table.source)
    else:
        text_of = texts_of(chain.from_iterable(cells), table.source)

    def edit(number: int, row: list[str]) -> list[str]:
        if number and (of_image := changes(row[place[image]])):
            row = list(row)
            if are_lists:
                names = edit_names(lists[number - 1], of_image, answers.no_label)
                row[place[chosen[0]]] = join(names)
                return row
            for name, value in of_image.items():
                row[place[name]] = text_of[value]
        return row

    return edit_rows(table.source.text(), table.delimiter, edit)


def _without(table: CsvTable, image: str) -> CsvTable:
    """Return the columns that may have labels."""
    others = {image, _split_column(table)[0], table.source.answers.group_column, ''}
    columns = {name: cells for name, cells in table.columns.items() if name not in others}
    return table._replace(columns=columns)


def image_column(table: CsvTable, image: str | None = None) -> str:
    """Return the column with the images: as named, or the one whose cells are names of images.

    Of a column without suffixes at least half of the first names have to be found. One with
    suffixes whose images are not found, such as addresses of posters, is asked about beside it.
    """
    source = table.source
    if image := image or source.answers.image_column:
        return image
    with_suffix, found = [], []
    for name, cells in table.columns.items():
        sample = list(dict.fromkeys(filter(None, cells[:_SAMPLE])))
        if not sample or are_values(sample):  # 1 and 0, which could be 1.jpg and 0.jpg
            continue
        paths = [source.images.find(cell, source.folder)[0] for cell in sample]
        if all(map(has_image_suffix, sample)):
            with_suffix.append(name)
        if paths.count(None) * 2 <= len(paths):
            found.append(name)
    possible = [name for name in with_suffix if name in found] or with_suffix + found
    if len(possible) == 1:
        return possible[0]
    raise OpenQuestion(
        'image_column',
        f'{source.path}: {"several columns name" if possible else "no column names"} images below '
        f'{source.images.data}. Which column has the images?',
        {name: f'such as {_example(table, name, 1)}' for name in possible or table.columns},
    )


def _split_column(table: CsvTable) -> tuple[str, list[str]]:
    """Return the column with the splits, '' if there is none, and the split of each row.

    Raises:
        ValueError: If some of its cells name splits, and others something else.
    """
    for name, cells in table.columns.items():
        of_word = split_of_word if name.lower() != _IS_VALID else _VALID.get
        is_named = name.lower() in (*_SPLIT_NAMES, _IS_VALID)
        different = {*cells}
        if not is_named and any(cell.strip() and not split_of_word(cell) for cell in different):
            continue
        split_of = {cell: of_word(cell.strip().lower()) or '' for cell in different}
        others = [cell for cell in cells if cell.strip() and not split_of[cell]]
        has_several = len({*split_of.values()} - {''}) > 1 and not is_label_name(name)
        if not others and (is_named or has_several):
            return name, [split_of[cell] for cell in cells]
        if others and any(split_of.values()):
            raise ValueError(
                f'{table.source.path}: the column {name!r} has {counted(len(others), "cell")} '
                f'with no split, such as {printable(others[0])!r}: write train, val or test, '
                'or nothing for those to distribute'
            )
    return '', []


def _labels(table: CsvTable, chosen: Sequence[str]) -> tuple[list[dict[str, int]], Labels]:
    """Return the labels of each row, and all that :class:`Labels` has but rows."""
    chosen = tuple(chosen) or _label_columns(table)
    cells = [table.column(name) for name in chosen]
    path, unused = table.source.path, [name for name in table.columns if name not in chosen]
    wrong = [name for name in chosen if not are_values(table.columns[name])]
    if not wrong:
        targets = targets_of(chain.from_iterable(cells), table.source)
        # a class may be empty in this file, and not in that of another split
        blank = [name for name in unused if not ''.join({*table.columns[name]}).strip()]
        names = (*chosen, *blank) if targets.get('') == -1 else chosen
        unused = [name for name in unused if name not in names]
        of_rows = zip(*(map(targets.get, table.columns[name]) for name in names), strict=True)
        found = [dict(zip(names, row, strict=True)) for row in of_rows]
        return found, Labels((), chosen, _unused(unused))
    if len(wrong) < len(chosen):
        value = next(name for name in chosen if name not in wrong)
        raise ValueError(
            f'{path}: of label_columns {wrong[0]!r} has other values than 1, 0, -1 and empty, and '
            f'{value!r} has none. Name columns with labels, or one column a class'
        )
    of_columns = [split_cells(of_column, table.source) for of_column in cells]
    lists = [[*chain.from_iterable(of_row)] for of_row in zip(*of_columns, strict=True)]
    refuse_vectors(lists, table.source)
    confidence = _confidence(table)
    if confidence is None:
        return [dict.fromkeys(labels, 1) for labels in lists], Labels((), (), _unused(unused))
    values = table.columns[confidence]
    if not are_values(values):
        raise ValueError(
            f'{path}: the column {confidence!r} has 0 and other values than 1: where 0 means that '
            'the image lacks the label (as in Open Images), others have to be 1'
        )
    targets = targets_of(values, table.source)
    of_rows = [dict.fromkeys(row, targets[value]) for row, value in zip(lists, values, strict=True)]
    notes = _unused([name for name in unused if name != confidence])
    return of_rows, Labels((), (), notes, absent=target_of_no_row(confidence, table.source))


def _confidence(table: CsvTable) -> str | None:
    """Return the column that is 0 where an image lacks the label of the row, as in Open Images."""
    for name, cells in table.columns.items():
        if name.lower() == _CONFIDENCE and not {'0', '0.0'}.isdisjoint(cells):
            return name
    return None


def _alike(table: CsvTable) -> list[str]:
    """Return a note for each column that may say which images a split should keep together."""
    return [
        f'a random split has images of one {printable(name)!r} on both sides, which makes its '
        f'mAP too high: `group_column` keeps them together ({len({*cells}):,} for '
        f'{len(cells):,} images)'
        for name, cells in table.columns.items()
        if _GROUP.fullmatch(name) and 1 < len({*cells}) < len(cells)
    ]


def _unused(names: Sequence[str]) -> list[str]:
    return [f'columns not used: {", ".join(map(printable, names))}'] if names else []


def _label_columns(table: CsvTable) -> tuple[str, ...]:
    path = table.source.path
    if not table.columns:
        raise ValueError(f'{path} has no column beside that of the images: no labels there')
    of_values = tuple(name for name, cells in table.columns.items() if are_values(cells))
    for name, cells in table.columns.items() if of_values else ():
        wrong = [cell for cell in cells if cell.strip() and not are_values([cell])]
        if 0 < len(wrong) * 2 < len([*filter(str.strip, cells)]):
            raise ValueError(
                f'{path}: {counted(len(wrong), "cell")} of the column {name!r} with other values '
                f'than 1, 0, -1 and empty, such as {printable(wrong[0])!r}: correct them, or name '
                'the columns with labels (label_columns)'
            )
    texts = [name for name in table.columns if name not in of_values]
    named = [*filter(is_label_name, texts)]
    if named:  # of their labels
        of_values = tuple(name for name in of_values if name.lower() != _CONFIDENCE)
    if of_values and not named:
        return of_values
    if not of_values and len(named or texts) == 1:
        return tuple(named or texts)
    choices = {
        (name,): f'its cells are such as {_example(table, name, 100)}' for name in named or texts
    }
    if len(named) > 1:
        choices[tuple(named)] = 'all of them'
    if of_values:
        listed = ', '.join(map(printable, of_values[:5]))
        choices[of_values] = (
            f'{counted(len(of_values), "column")} with values such as 0 and 1: {listed}'
        )
    raise OpenQuestion(
        'label_columns',
        f'{path}: which columns have the labels? (Where each class has one, its cells have to be 1 '
        'and 0, true and false, yes and no, x, -1, or empty.)',
        choices,
    )


def is_label_name(name: str) -> bool:
    """Whether a column, by its name, has labels."""
    return any(word in name.lower() for word in _LABEL_NAMES)


def _example(table: CsvTable, name: str, rows: int) -> str:
    return printable(max(table.columns[name][:rows], key=len, default='')[:60])
