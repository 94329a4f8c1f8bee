"""The formats of label files, search for such files below a folder, and reading of them."""

import glob
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

from ...errors import OpenQuestion
from ...fileio.near_names import near_names
from ...fileio.terminal import printable
from ..image_search import is_metadata
from . import coco_json, csv_labels
from .answers import Answers
from .image_names import ImageNames, has_image_suffix
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, LabelTable, merge_rows, split_in_name

# The first one that recognises a file is its format.
FORMATS = {
    format.name: format
    for format in (
        coco_json.FORMAT,
        csv_labels.FORMAT,
    )
}
_SUFFIXES = ('.json', '.jsonl', '.ndjson', '.csv', '.tsv', '.txt', '.xml')
_LEVELS = 4  # of folders below the data
_NONE = Answers()
_MANY = 50  # files of a kind in a folder: one an image, no label files of their own
_NO_LABEL = ('no finding', 'no label', 'no labels', 'unlabeled', 'unlabelled', 'none', 'nan')
_NO_LABEL += ('null', 'n/a', 'na', 'nothing', 'background', 'empty', '-')


@dataclass(frozen=True)
class LabelFiles:
    """The label files of a dataset: one, or one a split; all in one format."""

    format: LabelFormat
    paths: tuple[Path, ...]
    splits: tuple[str, ...]  # of each, by its name or that of its folder; '' if they say nothing
    pattern: str  # the file, or a glob of the files, relative to the data

    def __str__(self) -> str:
        names = ', '.join(map(printable, map(str, self.paths)))
        return f'{self.format.title}: {names}'


def find_label_files(data: str | os.PathLike, answers: Answers = _NONE) -> LabelFiles:
    """Find the label files of a folder of images.

    Args:
        data (str | PathLike): The folder.
        answers (Answers): ``labels`` and ``format`` say which ones.

    Raises:
        OpenQuestion: About ``labels``, if several files may be meant.
        ValueError: If there is none, or no such format.
        FileNotFoundError: If there is no such folder or file.
    """
    return _find(ImageNames(data), answers)


def read_labels(data: str | os.PathLike, answers: Answers = _NONE) -> LabelTable:
    """Find and read the label files of a folder of images, see :func:`find_label_files`.

    Raises:
        OpenQuestion: If they can be read in several ways; nothing is guessed.
        ValueError: If they cannot be read, or none of the images that they name is there.
        FileNotFoundError: If there is no such folder or file.
    """
    images = ImageNames(data)
    files = _find(images, answers)
    rows: list[tuple[LabelRow, str]] = []
    classes: list[str] = []
    notes: list[str] = []
    for path, split in zip(files.paths, files.splits, strict=True):
        source = LabelSource(path, images)
        labels = files.format.read(source, answers)
        of_file = [row if row.split else row._replace(split=split) for row in labels.rows]
        rows += zip(of_file, repeat(source.folder))
        classes += labels.classes
        notes += labels.notes
    if not rows:
        raise ValueError(f'{files} has no rows')
    rows, empty_notes = _without_no_label(rows, files, answers)
    notes += empty_notes
    classes = [name for name in classes if name not in (answers.no_label or ())]
    found, missing, found_notes = images.resolve(rows)
    if not found:
        raise ValueError(f'{files}: {images.describe_missing(missing)}')
    table = merge_rows(found, classes)
    notes += [*found_notes, *table.notes]
    if missing:
        notes.append(f'{images.describe_missing(missing)}; they are left out')
    unlisted = sorted(set(images.paths) - set(table.images))
    if unlisted:
        notes.append(
            f'{len(unlisted):,} of {len(images.paths):,} images have no row and are left out, '
            f'first: {printable(unlisted[0])}'
        )
    return replace(table, notes=tuple(notes), missing=tuple(missing), unlisted=tuple(unlisted))


def _find(images: ImageNames, answers: Answers) -> LabelFiles:
    if not images.data.is_dir():
        raise FileNotFoundError(f'{images.data} is not a folder')
    if answers.format is not None and answers.format not in FORMATS:
        raise ValueError(
            f'format {answers.format!r} is not known{near_names(answers.format, FORMATS)}. '
            f'Those are: {", ".join(FORMATS)}'
        )
    candidates: dict[tuple, list[tuple[LabelSource, LabelFormat, str]]] = defaultdict(list)
    for path in _paths(images.data, answers.labels):
        source = LabelSource(path, images)
        if format := _format(source, answers):
            split, pattern = _split_of_file(path, images.data)
            candidates[format.name, pattern, _header(source)].append((source, format, split))
    if not candidates:
        what = answers.labels or images.data
        raise ValueError(
            f'{what}: no labels found. Formats that are read: '
            f'{", ".join(each.title for each in FORMATS.values())}'
        )
    found = [
        files
        for (_, pattern, _), same in candidates.items()
        for files in _sets(same, pattern, images.data)
    ]
    found = [files for files in found if files.pattern == answers.labels] or found
    if len(found) > 1:
        raise OpenQuestion(
            'labels',
            f'{images.data} has {len(found)} files that may hold the labels. Which one does?',
            {files.pattern: files.format.title for files in found},
        )
    return found[0]


def _paths(data: Path, labels: str | None) -> Iterator[Path]:
    """Yield what may hold labels: what is named, or else all folders and files of some kinds."""
    if labels is not None:
        path = data / labels
        paths = [path] if path.exists() else [*map(Path, sorted(glob.glob(str(path))))]
        if not paths and Path(labels).exists():  # relative to the working directory
            paths = [Path(labels).absolute()]
        if not paths:
            raise FileNotFoundError(f'labels: there is no {path}')
        yield from paths
        return
    folders = [(data, 0)]
    while folders:
        folder, level = folders.pop(0)
        yield folder
        kinds: dict[str, list[Path]] = defaultdict(list)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith('.') or is_metadata(entry.name):
                    continue
                suffix = os.path.splitext(entry.name)[1].lower()
                if entry.is_dir() and level < _LEVELS:
                    folders.append((Path(entry.path), level + 1))
                elif suffix in _SUFFIXES and entry.is_file():
                    kinds[suffix].append(Path(entry.path))
        for paths in kinds.values():
            if len(paths) <= _MANY:
                yield from sorted(paths)


def _format(source: LabelSource, answers: Answers) -> LabelFormat | None:
    if answers.format is not None:
        format = FORMATS[answers.format]
        return format if answers.labels is not None or format.recognises(source) else None
    return next((format for format in FORMATS.values() if format.recognises(source)), None)


def _header(source: LabelSource) -> str:
    """Return the header of a CSV: files of one dataset have the same."""
    if source.path.suffix.lower() not in ('.csv', '.tsv') or not source.lines:
        return ''
    header = source.lines[0]
    return '' if any(map(has_image_suffix, header.split(','))) else header


def _split_of_file(path: Path, data: Path) -> tuple[str, str]:
    """Return the split that the name or a folder says, and a glob without that word."""
    parts = os.path.relpath(path, data).split(os.sep)
    found = [split_in_name(part) for part in parts]
    split = next((split for split, _, _ in reversed(found) if split), '')
    globs = [
        f'{glob.escape(part[:start])}*{glob.escape(part[end:])}'
        if split and of_part == split
        else glob.escape(part)
        for part, (of_part, start, end) in zip(parts, found, strict=True)
    ]
    return split, os.sep.join(globs)


def _sets(
    same: Sequence[tuple[LabelSource, LabelFormat, str]], pattern: str, data: Path
) -> Iterator[LabelFiles]:
    """Yield files that differ in the split only as one set; otherwise each on its own."""
    paths = tuple(source.path for source, _, _ in same)
    splits = tuple(split for _, _, split in same)
    format = same[0][1]
    if 1 < len(same) == len({*splits}):
        yield LabelFiles(format, paths, splits, pattern)
        return
    for path, split in zip(paths, splits, strict=True):
        yield LabelFiles(format, (path,), (split,), os.path.relpath(path, data))


def _without_no_label(
    rows: list[tuple[LabelRow, str]], files: LabelFiles, answers: Answers
) -> tuple[list[tuple[LabelRow, str]], list[str]]:
    """Take away names that mean that an image has no label; ask if names sound so."""
    counts = Counter(name for row, _ in rows for name, value in row.labels.items() if value == 1)
    if answers.no_label is None:
        asked = tuple(sorted(name for name in counts if name.strip().lower() in _NO_LABEL))
        if asked:
            listed = ', '.join(f'{name!r} ({counts[name]:,} images)' for name in asked)
            raise OpenQuestion(
                'no_label',
                f'{files}: do these labels mean that an image has no label: {listed}?',
                {asked: 'yes: no label', (): 'no: classes as others are'},
            )
        return rows, []
    names = set(answers.no_label)
    both = [row for row, _ in rows if 1 in _values_of(row, names) and _others(row, names)]
    notes = []
    if both:
        notes.append(
            f'{len(both):,} rows have a label that means "no label" beside others, which count: '
            f'the first is that of {printable(both[0].image)}'
        )
    kept = [
        (row._replace(labels={k: v for k, v in row.labels.items() if k not in names}), folder)
        for row, folder in rows
    ]
    return kept, notes


def _values_of(row: LabelRow, names: set[str]) -> list[int]:
    return [value for name, value in row.labels.items() if name in names]


def _others(row: LabelRow, names: set[str]) -> bool:
    return any(value == 1 for name, value in row.labels.items() if name not in names)
