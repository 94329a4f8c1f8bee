"""YOLO's detection files as labels: a text file an image, a line an object.

Source: docs.ultralytics.com/datasets (``data.yaml``; detect, segment, obb, pose) and Darknet
(``obj.names``). A file is in a folder ``labels`` beside ``images``, or beside its image; an empty
one has no object::

    0 0.5 0.5 0.2 0.2
    16 0.1 0.4 0.1 0.1
"""

import posixpath
import re
from pathlib import Path

from ...errors import OpenQuestion
from ...fileio.terminal import counted, printable
from .answers import NO
from .file_content import read_text
from .label_source import FOLDER, LabelFormat, LabelSource
from .label_table import LabelRow, Labels

_LOOKED_AT = 20  # files, until one has an object
# A class and four numbers of a box; more of a polygon, a rotated box, a pose.
_OBJECT = re.compile(r'\s*(\d+)(\s+[-+]?[\d.]+(e[-+]?\d+)?){4,}\s*', re.IGNORECASE)


def _recognises(source: LabelSource) -> bool:
    """Whether the first text files of a folder have objects and the names of images."""
    for name in source.names('.txt')[:_LOOKED_AT]:
        try:
            if _classes(source.path / name):
                return _image(source, name) is not None
        except ValueError:
            continue
    return False


def _read(source: LabelSource) -> Labels:
    rows: dict[str, LabelRow] = {}
    left_out = []
    for name in source.names('.txt'):
        image = _image(source, name)
        if image is not None:  # else a list, such as classes.txt and train.txt
            classes = sorted(_classes(source.path / name))
            rows[image] = LabelRow(image, dict.fromkeys(map(str, classes), 1))
        elif name.lower() not in ('classes.txt', 'labels.txt'):
            left_out.append(printable(name))
    notes = [f'{counted(len(left_out), "text file")} of no image, first: {n}' for n in left_out[:1]]
    folders = {*map(posixpath.dirname, rows)}
    others = [p for p in source.images.paths if posixpath.dirname(p) in folders and p not in rows]
    if others and source.answers.unlisted is None:
        raise OpenQuestion(
            'unlisted',
            f'{counted(len(others), "image")} without a label file in the folders of '
            f'{counted(len(rows), "image")} with one of {source.path}, such as '
            f'{printable(others[0])}. Do they show none of the classes?',
            {NO: 'they show none (as in Ultralytics)', 'skip': 'not labelled yet: leave them out'},
        )
    if source.answers.unlisted == NO:
        rows |= {path: LabelRow(path, {}) for path in others}
    return Labels([*rows.values()], notes=notes, are_numbers=True)


def _classes(path: Path) -> set[int]:
    """Return the classes of the objects in a file.

    Raises:
        ValueError: If a line is none of YOLO's.
    """
    classes = set()
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if match := _OBJECT.fullmatch(line):
            classes.add(int(match[1]))
        elif line.strip():
            raise ValueError(
                f'{path}: line {number} is {line[:60]!r}. Expected is the number of a class, '
                'from 0 on, and a box with 4 numbers'
            )
    return classes


def _image(source: LabelSource, name: str) -> str | None:
    """Return the path of the image of a label file, relative to the data."""
    parts = source.folder.split('/')
    if 'labels' in parts:  # the last one, as in Ultralytics
        place = len(parts) - 1 - parts[::-1].index('labels')
        parts[place] = 'images'
    return source.images.find(posixpath.join(*parts, name[: -len('.txt')]), source.folder)[0]


FORMAT = LabelFormat('yolo', "YOLO's detection files", (FOLDER,), _recognises, _read)
