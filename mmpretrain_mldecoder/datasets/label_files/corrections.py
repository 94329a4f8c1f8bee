"""Writing of the label files of a folder of images with some labels changed."""

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ...fileio.atomic_write import atomic_write, write_file
from .answers import Answers
from .file_content import encoding_of
from .find_label_files import find_label_files
from .image_names import ImageNames
from .label_source import LabelFormat, LabelSource
from .label_table import Labels, LabelTable

Corrections = Mapping[str, Mapping[str, int]]
"""The labels to change of each image of a table: 1 or 0 by class."""


def write_corrected(
    data: str | os.PathLike,
    answers: Answers,
    table: LabelTable,
    corrections: Corrections,
    out: Path,
) -> tuple[list[Path], str]:
    """Write label files into the folder ``out``, with some labels changed.

    A file keeps its format and name if it then reads as it should. Otherwise, and in formats that
    would need a box for a label, or another folder for an image, all labels go to ``labels.csv``.
    ``data`` and ``answers`` are the arguments of :func:`read_labels`, which returned ``table``.

    Returns:
        tuple: The files that have a change, and why they are one CSV, '' if they are not.
    """
    images = ImageNames(data)
    files = find_label_files(images, answers)
    sources = [LabelSource(path, images, answers) for path in files.paths]
    read = [files.format.read(source) for source in sources]
    key_of = {name: name for name in table.classes}
    if read[-1].are_numbers or answers.class_names is not None:
        numbers = (int(key) for labels in read for row in labels.rows for key in row.labels)
        first = int(max(numbers, default=0) == len(table.classes))  # as in name_classes
        key_of = {name: str(i) for i, name in enumerate(table.classes, first)}
    written: list[Path] = []
    todo = set(corrections)
    for source, labels, split in zip(sources, read, files.splits, strict=True):
        changes: dict[str, dict[str, int]] = {}
        for row in labels.rows:
            image = images.find(row.image, source.folder, row.split or split)[0]
            if image in corrections:
                todo.discard(image)
                changes[row.image] = {
                    key_of[name]: value for name, value in corrections[image].items()
                }
        if changes:
            path, inside = source.path, source.path.is_relative_to(images.data)
            written.append(out / (path.relative_to(images.data) if inside else path.name))
            if not _edit(files.format, source, labels, changes, written[-1]):
                break
    else:
        if not todo:
            return written, ''
    for path in written:
        path.unlink(missing_ok=True)
    _write_csv(_changed(table, corrections), out / 'labels.csv')
    why = f'{files.format.title} cannot be corrected in place: all labels are in one CSV'
    return [out / 'labels.csv'], why


def _edit(
    format: LabelFormat,
    source: LabelSource,
    labels: Labels,
    changes: Mapping[str, Mapping[str, int]],
    out: Path,
) -> bool:
    """Write a file with changes of images as it names them; return whether it reads as wanted."""
    if format.edit is None:
        return False
    try:
        text = format.edit(source, lambda image: changes.get(image, {}))
    except (KeyError, IndexError):  # a class that this file lacks
        return False
    if text is None:
        return False
    answers = source.answers
    with source.path.open('rb') as file:
        encoding = answers.encoding or encoding_of(file.read(3))
    write_file(out, text.encode(encoding))
    again = LabelSource(out, source.images, answers)
    again.folder = source.folder  # to which the names of images are relative
    no_label = answers.no_label or ()
    wanted = _stated(labels, no_label)
    for image, of_image in changes.items():
        for name, value in of_image.items():
            if ((image, name, 1) in wanted) == bool(value):
                return False
            wanted = (wanted - {(image, name, -1)}) ^ {(image, name, 1)}
    try:
        return _stated(format.read(again), no_label) == wanted
    except ValueError:
        return False


def _stated(labels: Labels, no_label: Iterable[str]) -> set[tuple[str, str, int]]:
    """Return image, class and target of all labels but those that are no, united as in a table."""
    stated: dict[tuple[str, str], int] = {}
    for row in labels.rows:
        for name, value in row.labels.items():
            key = row.image, name.strip()
            stated[key] = max(value, stated.get(key, value))
    return {(*key, value) for key, value in stated.items() if value and key[1] not in no_label}


def _changed(table: LabelTable, corrections: Corrections) -> LabelTable:
    targets = table.targets.copy()
    for row, image in enumerate(table.images):
        for name, value in corrections.get(image, {}).items():
            targets[row, table.classes.index(name)] = value
    return replace(table, targets=targets)


def _write_csv(table: LabelTable, out: Path) -> None:
    """Write a column a class, of 1, 0 or -1, and splits and groups if there are some."""
    others = {
        name: values
        for name, values in (('split', table.splits), ('group', table.groups))
        if any(values)
    }
    with atomic_write(out) as path, path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['image', *others, *table.classes])
        rows = zip(table.images, *others.values(), table.targets.tolist(), strict=True)
        writer.writerows([*row, *targets] for *row, targets in rows)
