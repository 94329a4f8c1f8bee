"""YOLO's detection files as labels: a text file an image, a line an object.

Source: docs.ultralytics.com/datasets/detect (``data.yaml``) and Darknet (``obj.names``). A file is
in a folder ``labels`` beside ``images``, or beside its image; an empty one has no object::

    0 0.5 0.5 0.2 0.2
    16 0.1 0.4 0.1 0.1
"""

import posixpath
from pathlib import Path

from ...errors import OpenQuestion
from ...fileio.terminal import printable
from .answers import NO, Answers
from .label_source import LabelFormat, LabelSource, read_text
from .label_table import LabelRow, Labels

_LOOKED_AT = 20  # files, until one has an object
_LEAST = 5  # numbers of an object: class and box; more of a polygon, a mask, a pose


def recognises(source: LabelSource) -> bool:
    """Whether the first text files of a folder have objects and the names of images."""
    names = [name for name in source.files if name.endswith('.txt')][:_LOOKED_AT]
    for name in names:
        try:
            classes = _classes(source.path / name)
        except ValueError:
            continue
        if classes:
            return source.images.find(_image(source, name), source.folder)[0] is not None
    return False


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    of_images, notes = {}, []
    for name in (name for name in source.files if name.endswith('.txt')):
        image = source.images.find(_image(source, name), source.folder)[0]
        if image is not None:  # else a list, such as classes.txt and train.txt
            of_images[image] = sorted(_classes(source.path / name))
        elif name.lower() not in ('classes.txt', 'labels.txt'):
            notes.append(f'{printable(name)} belongs to no image')
    if len(notes) > 1:
        notes = [f'{len(notes):,} text files belong to no image, the first: {notes[0]}']
    rows = [
        LabelRow(image, dict.fromkeys(map(str, classes), 1)) for image, classes in of_images.items()
    ]
    folders = {posixpath.dirname(image) for image in of_images}
    others = [
        path
        for path in source.images.paths
        if posixpath.dirname(path) in folders and path not in of_images
    ]
    if others and answers.unlisted is None:
        raise OpenQuestion(
            'unlisted',
            f'{len(others):,} images in the folders of the {len(of_images):,} images with a label '
            f'file of {source.path} have none themselves, such as {printable(others[0])}. Do they '
            'show none of the classes?',
            {NO: 'they show none (as in Ultralytics)', 'skip': 'not labelled yet: leave them out'},
        )
    if answers.unlisted == NO:
        rows += [LabelRow(path, {}) for path in others]
    return Labels(rows, notes=notes, are_numbers=True)


def _classes(path: Path) -> set[int]:
    """Return the classes of the objects in a file.

    Raises:
        ValueError: If a line is none of YOLO's.
    """
    classes = set()
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if numbers := line.split():
            try:
                index = int(numbers[0])
                box = [float(each) for each in numbers[1:]]
            except ValueError:
                index, box = -1, []
            if index < 0 or len(box) < _LEAST - 1:
                raise ValueError(
                    f'{path}: line {number} is {line[:60]!r}. Expected is the number of a class, '
                    'from 0 on, and a box with 4 numbers'
                )
            classes.add(index)
    return classes


def _image(source: LabelSource, name: str) -> str:
    """Return the path, without suffix, of the image of a label file, relative to the data."""
    parts = source.folder.split('/')
    if 'labels' in parts:  # the last one, as in Ultralytics
        place = len(parts) - 1 - parts[::-1].index('labels')
        parts[place] = 'images'
    return posixpath.join(*parts, name[: -len('.txt')])


FORMAT = LabelFormat('yolo', "YOLO's detection files", recognises, read)
