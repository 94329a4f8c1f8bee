"""Reading of the labels of a folder of images into one table."""

import os
from collections import Counter
from dataclasses import replace

from ...errors import OpenQuestion
from ...fileio.terminal import counted, printable
from .answers import Answers
from .class_names import name_classes, refuse_repeated
from .find_label_files import LabelFiles, find_label_files
from .image_names import ImageNames
from .label_source import LabelSource
from .label_table import LabelRow, LabelTable, merge_rows
from .split_lists import splits_of_lists

_NO_LABEL = ('no finding', 'no label', 'no labels', 'unlabeled', 'unlabelled', 'none', 'nan')
_NO_LABEL += ('null', 'n/a', 'na', 'nothing', 'background', 'empty', '-')


def read_labels(data: str | os.PathLike, answers: Answers | None = None) -> LabelTable:
    """Find and read the label files of a folder of images, see :func:`find_label_files`.

    Raises:
        OpenQuestion: If they can be read in several ways; nothing is guessed.
        ValueError: If they cannot be read, or none of the images that they name is there.
        FileNotFoundError: If there is no such folder or file.
    """
    images, answers = ImageNames(data), answers or Answers()
    files = find_label_files(images, answers)
    rows: list[LabelRow] = []
    folders: list[str] = []
    classes: list[str] = []
    notes: list[str] = []
    numbers = {}  # of the classes, of each file
    absent = 0
    for path, split in zip(files.paths, files.splits, strict=True):
        source = LabelSource(path, images, answers)
        labels = files.format.read(source)
        refuse_repeated(labels.classes, path)
        numbers[labels.are_numbers and len(labels.classes), labels.are_numbers] = path
        rows += [row if row.split else row._replace(split=split) for row in labels.rows]
        folders += [source.folder] * len(labels.rows)
        classes += labels.classes
        notes += labels.notes
        absent = min(absent, labels.absent)
    if not rows:
        raise ValueError(f'{files} has no rows')
    if len(numbers) > 1:
        (one, _), (other, _) = numbers
        first, second = [*numbers.values()][:2]
        raise ValueError(
            f'{first} has values of {one or "no"} classes, and {second} of {other or "no"}: each '
            'line needs 1 or 0 for each of the same classes'
        )
    if labels.are_numbers or answers.class_names is not None:
        rows, classes, name_notes = name_classes(rows, classes, source)
        notes += name_notes
    elif (names := set().union(*(row.labels for row in rows))) and all(map(str.isdecimal, names)):
        notes.append(
            f'the classes of {files} are numbers, such as {min(names)}: `class_names` names a file '
            'with their names'
        )
    rows, empty_notes = _without_no_label(rows, files, answers)
    notes += empty_notes
    classes = [name for name in classes if name not in (answers.no_label or ())]
    found, missing, found_notes = images.resolve(zip(rows, folders, strict=True))
    if not found:
        raise ValueError(f'{files}: {images.describe_missing(missing)}')
    table = merge_rows(found, classes, absent)
    notes += [*found_notes, *table.notes]
    if not any(table.splits):
        splits, list_notes = splits_of_lists(images, table.images, answers.encoding)
        table = replace(table, splits=tuple(splits.get(image, '') for image in table.images))
        notes += list_notes
    if missing:
        notes.append(f'{images.describe_missing(missing)}; they are left out')
    if unlisted := sorted(set(images.paths) - set(table.images)):
        notes.append(
            f'{len(unlisted):,} of {len(images.paths):,} images have no row and are left out, '
            f'first: {printable(unlisted[0])}'
        )
    if files.others:
        more = f' and {counted(len(files.others) - 3, "other")}' if len(files.others) > 3 else ''
        notes.append(f'not read as labels: {printable("; ".join(files.others[:3]))}{more}')
    notes = [*dict.fromkeys(notes)]
    return replace(table, notes=tuple(notes), missing=tuple(missing), unlisted=tuple(unlisted))


def _without_no_label(
    rows: list[LabelRow], files: LabelFiles, answers: Answers
) -> tuple[list[LabelRow], list[str]]:
    """Take away names that mean that an image has no label; ask if names sound so."""
    if answers.no_label is None:
        counts = Counter(name for row in rows for name, value in row.labels.items() if value == 1)
        asked = tuple(
            sorted(name for name in counts if name.lower().replace('_', ' ').strip() in _NO_LABEL)
        )
        if asked:
            listed = ', '.join(f'{name!r} ({counted(counts[name], "image")})' for name in asked)
            raise OpenQuestion(
                'no_label',
                f'{files}: do these labels mean that an image has no label: {listed}?',
                {asked: 'yes: no label', (): 'no: classes as others are'},
            )
        return rows, []
    names = {*answers.no_label}
    kept = [
        row._replace(labels={name: v for name, v in row.labels.items() if name not in names})
        for row in rows
    ]
    both = [
        row.image
        for row, rest in zip(rows, kept, strict=True)
        if 1 in rest.labels.values() and 1 in map(row.labels.get, names)
    ]
    if not both:
        return kept, []
    return kept, [
        f'{counted(len(both), "row has", "rows have")} a label that means "no label" beside '
        f'others, which count: the first is that of {printable(both[0])}'
    ]
