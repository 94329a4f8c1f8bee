"""Search for the label files of a folder of images."""

import glob
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import OpenQuestion
from ...fileio.near_names import near_names
from ...fileio.terminal import printable
from ..image_search import folders_below, is_metadata
from .answers import Answers
from .class_names import is_class_list
from .formats import FORMATS
from .image_names import ImageNames, has_image_suffix
from .label_source import FOLDER, SPREADSHEETS, LabelFormat, LabelSource
from .label_table import split_in_name

# what is looked at; nothing is read of a spreadsheet, but people forget to export it
_SUFFIXES = {suffix for format in FORMATS.values() for suffix in format.suffixes}
_SUFFIXES |= {*SPREADSHEETS}
_LEVELS = 4  # of folders below the data
_LISTED = 3  # files in none of the formats
_KEYS = 10  # of such a file
_PER_IMAGE = ('.json', '.xml')  # files of labelme, VOC, in which each is read
_MANY = 50  # files of a kind in a folder: one an image, no label files of their own


class LabelFiles(NamedTuple):
    """The label files of a dataset: one, or one a split; all in one format."""

    format: LabelFormat
    paths: tuple[Path, ...]
    splits: tuple[str, ...]  # of each, by its name or that of its folder; '' if they say nothing
    pattern: str  # the file, or a glob of the files, relative to the data
    others: tuple[str, ...] = ()  # what is wrong with other files, or their paths

    def __str__(self) -> str:
        return f'{self.format.title}: {", ".join(printable(str(path)) for path in self.paths)}'


def find_label_files(
    data: str | os.PathLike | ImageNames, answers: Answers | None = None
) -> LabelFiles:
    """Find the label files of a folder of images, which may be listed already.

    Raises:
        OpenQuestion: About ``labels``, if several files may be meant; about ``format``, if there
            are folders, which may be classes, and a file in none of the formats.
        ValueError: If there is none, or no such format, or the file of a split is damaged.
        FileNotFoundError: If there is no such folder or file.
    """
    images = data if isinstance(data, ImageNames) else ImageNames(data)
    answers = answers or Answers()
    data = images.data
    if not data.is_dir():
        fix = ': name the folder of the images, and this file by `labels`' if data.is_file() else ''
        raise FileNotFoundError(f'{data} is not a folder{fix}')
    if answers.format is not None and answers.format not in FORMATS:
        raise ValueError(
            f'format {answers.format!r} is not known{near_names(answers.format, FORMATS)}. '
            f'Those are: {", ".join(FORMATS)}'
        )
    # by what files of several splits have in common: format, name but for the split, header
    candidates: dict[tuple, list[tuple[Path, str]]] = defaultdict(list)
    others: list[_Other] = []
    for path in _paths(data) if answers.labels is None else _named(data, answers.labels):
        source = LabelSource(path, images, answers)
        split, pattern = _split_of_file(path, data)
        if format := _format(source):
            candidates[format, pattern, _header(source)].append((path, split))
        elif source.suffix != FOLDER:
            others.append(_Other(path, pattern, source.problem, _description(source)))
    if not candidates:
        titles = ', '.join(format.title for format in FORMATS.values())
        listed = ''.join(f'{other.text}. ' for other in others[:_LISTED])
        raise ValueError(
            f'{answers.labels or data}: no labels found. {listed}Formats that are read: {titles} '
            '(if all folders are classes: `format` folders)'
        )
    folders = (FORMATS['folders'], os.curdir, '')
    not_classes = {key: same for key, same in candidates.items() if key[0] != folders[0]}
    with_files = {path for same in not_classes.values() for path, _ in same}
    left_out = [
        other
        for other in others
        if other.path.suffix not in ('.txt', '')
        and not (other.path.suffix in _PER_IMAGE and other.path.parent in with_files)
    ]
    if len(candidates) > 1:  # folders are labels where there are no files
        candidates.pop(folders, None)
    elif folders in candidates and left_out and answers.format is None:
        raise OpenQuestion(
            'format',
            f'{left_out[0].text}: no labels are read of it. Are the folders of the images '
            'their classes?',
            {'folders': 'yes, a folder per class'},
        )
    found = []
    for (format, pattern, _), same in candidates.items():
        paths, splits = zip(*same, strict=True)
        if 1 < len(same) == len({*splits}):
            found.append(LabelFiles(format, paths, splits, pattern))
        else:  # they differ in more than the split
            found += [
                LabelFiles(format, (path,), (split,), os.path.relpath(path, data))
                for path, split in same
            ]
    found = [files for files in found if files.pattern == answers.labels] or found
    if len(found) > 1:
        found = _nested(found, images) or found
    alike = _of_one_name(found, images, answers) if len(found) > 1 else []
    found = [files for files in alike if files.pattern == answers.labels] or found
    kinds = {(format, header) for format, _, header in candidates}
    if len(found) > 1 and answers.labels is not None and len(kinds) == 1:  # parts, by a glob
        parts = [pair for files in found for pair in zip(files.paths, files.splits, strict=True)]
        paths, splits = zip(*parts, strict=True)
        found = [LabelFiles(found[0].format, paths, splits, answers.labels)]
    if len(found) > 1:
        raise OpenQuestion(
            'labels',
            f'{data} has {len(found)} files that may hold the labels. Which one does? (Or a '
            'glob of several parts.)',
            {
                files.pattern: ' '.join(filter(None, (files.format.title, *files.splits)))
                for files in found
            }
            | {files.pattern: f'all of that name: {", ".join(files.splits)}' for files in alike},
        )
    pattern = _split_of_file(found[0].paths[0], data)[1]
    if damaged := [other.problem for other in others if other.pattern == pattern and other.problem]:
        raise ValueError(damaged[0])  # of another split
    return found[0]._replace(others=tuple(o.problem or str(o.path) for o in left_out))


class _Other(NamedTuple):
    """A file in none of the formats."""

    path: Path
    pattern: str  # as of label files, whatever the split
    problem: str  # why it cannot be decoded, or ''
    text: str  # that, or how it begins


def _description(source: LabelSource) -> str:
    first = f'begins with {source.lines[0][:60]!r}' if source.lines else 'has one long line'
    if isinstance(source.json, dict):
        empty = [key for key, value in source.json.items() if bytes(memoryview(value)[:2]) == b'[]']
        first = f'has the keys {", ".join([*source.json][:_KEYS])}'
        first += f' ({", ".join(empty[:_KEYS])} empty)' if empty else ''
    elif source.keys:
        first = f'is a list of objects with the keys {", ".join(sorted(source.keys)[:_KEYS])}'
    return source.problem.rstrip('.') or printable(f'{source.path} {first}')


def _named(data: Path, labels: str) -> Sequence[Path]:
    """Return the files that an answer names: relative to the data, or to the working directory."""
    path = data / labels
    paths = glob.glob(os.path.join(data, labels), recursive=True)
    found = [path] if path.exists() else sorted(map(Path, paths))
    if not found and Path(labels).exists():
        found = [Path(labels).absolute()]
    if not found:
        raise FileNotFoundError(f'labels: there is no {path}')
    return found


def _nested(found: Sequence[LabelFiles], images: ImageNames) -> list[LabelFiles]:
    """Join YOLO's folders that are nested as those of the images: below ``labels``, or beside them.

    Folders beside their images may have different lists of classes; then they are not joined.
    """
    data = images.data
    parts = [pair for files in found for pair in zip(files.paths, files.splits, strict=True)]
    paths, splits = zip(*sorted(parts), strict=True)
    beside = {data / os.path.dirname(image) for image in images.paths}.intersection(paths)
    tops = {
        data if path in beside else next((p for p in path.parents if p.name == 'labels'), path)
        for path in paths
    }
    patterns = {_split_of_file(top, data)[1] for top in tops}
    has_lists = any(is_class_list(each) for path in beside - {data} for each in path.iterdir())
    is_yolo = {files.format.name for files in found} == {'yolo'}
    is_nested = all(top == data or top.name == 'labels' for top in tops)
    if not is_yolo or not is_nested or has_lists or len(patterns) > 1:
        return []
    return [LabelFiles(found[0].format, paths, splits, os.path.join(*patterns, '**', ''))]


def _of_one_name(
    found: Sequence[LabelFiles], images: ImageNames, answers: Answers
) -> list[LabelFiles]:
    """Join files of several splits whose folders have different names: train, valid, test_data."""
    parts = [pair for files in found for pair in zip(files.paths, files.splits, strict=True)]
    paths, splits = zip(*parts, strict=True)
    kinds = {files.format.name for files in found} | {path.name for path in paths}
    headers = {_header(LabelSource(path, images, answers)) for path in paths}
    is_one = len(kinds) == 2 and len(headers) == 1 and len({*splits} - {''}) == len(paths) > 1
    pattern = os.path.join('**', paths[0].name)
    return [LabelFiles(found[0].format, paths, splits, pattern)] if is_one else []


def _paths(data: Path) -> Iterator[Path]:
    """Yield what may hold labels: all folders, and the files of some kinds."""
    for parent, names in folders_below(str(data), Counter()):
        folder = Path(parent)
        if len(folder.relative_to(data).parts) > _LEVELS:
            continue
        yield folder
        kinds: dict[str, list[Path]] = defaultdict(list)
        for name in sorted(names):
            suffix = os.path.splitext(name)[1].lower()
            is_hidden = name.startswith('.') or is_metadata(name)
            if (suffix in _SUFFIXES or not suffix) and not is_hidden and (folder / name).is_file():
                kinds[suffix].append(folder / name)
        for paths in kinds.values():
            if len(paths) <= _MANY:
                yield from paths


def _format(source: LabelSource) -> LabelFormat | None:
    answers = source.answers
    if answers.format is not None and answers.labels is not None:
        return FORMATS[answers.format]
    for format in FORMATS.values() if answers.format is None else [FORMATS[answers.format]]:
        if source.suffix in format.suffixes and format.recognises(source):
            return format
    return None


def _header(source: LabelSource) -> str:
    """Return the header of a CSV: files of one dataset have the same."""
    if source.suffix not in ('.csv', '.tsv') or not source.lines:
        return ''
    header = source.lines[0]
    return '' if any(map(has_image_suffix, header.split(','))) else header


def _split_of_file(path: Path, data: Path) -> tuple[str, str]:
    """Return the split that the name or a folder says, and a glob without that word.

    Folders that are not below the data say one as ``train``, not as ``my_train_data``.
    """
    parts = os.path.relpath(path, data).split(os.sep)
    found = [split_in_name(part) for part in parts]
    if parts[0] == os.pardir:
        for place, part in enumerate(parts[:-1]):
            if found[place][1:] != (0, len(part)):
                found[place] = ('', 0, 0)
    split = next((split for split, _, _ in reversed(found) if split), '')
    globs = [
        f'{glob.escape(part[:start])}*{glob.escape(part[end:])}'
        if split and of_part == split
        else glob.escape(part)
        for part, (of_part, start, end) in zip(parts, found, strict=True)
    ]
    return split, os.sep.join(globs)
