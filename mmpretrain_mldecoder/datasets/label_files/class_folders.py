"""A folder per class, several of which may hold the same image.

Source: torchvision's ImageFolder, with several labels: an image is in the folder of each of its
classes, as a copy or a link. Images are the same if their bytes are: many folders have a 001.jpg::

    cat/a.jpg   dog/a.jpg   train/cat/a.jpg
"""

import os
import posixpath

from ...fileio.groups import equal_files
from ...fileio.terminal import counted
from .label_source import FOLDER, LabelFormat, LabelSource
from .label_table import LabelRow, Labels, split_in_name


def _recognises(source: LabelSource) -> bool:
    """Whether all images below it are in folders, two of them or more, that are no splits."""
    if source.path != source.images.data:
        return False
    names = {_split_and_class(path)[1] for path in source.images.paths}
    are_splits = all(split_in_name(name)[0] for name in names)  # train_images, test_images
    if source.answers.format is not None:  # a class may be called train
        names = set(map(posixpath.dirname, source.images.paths))
    return len(names) > 1 and all(names) and not are_splits


def _read(source: LabelSource) -> Labels:
    paths = source.images.paths
    first = list(range(len(paths)))
    for same in equal_files([os.path.join(source.path, path) for path in paths]):
        for index in same:
            first[index] = same[0]
    rows = []
    for path, index in zip(paths, first, strict=True):
        split, name = _split_and_class(path)
        if not name:
            split, name = '', posixpath.dirname(path)
        rows.append(LabelRow(paths[index], {name: 1}, split))
    copies = len(paths) - len({*first})
    notes = [f'{counted(copies, "copy", "copies")} of other files: labels united'] if copies else []
    return Labels(rows, notes=notes)


def _split_and_class(path: str) -> tuple[str, str]:
    """Return the split and the class by the first folders of a path; '' without a class."""
    first, second, *_ = [*posixpath.dirname(path).split('/'), '']
    split, start, end = split_in_name(first)
    return (split, second) if split and end - start == len(first) else ('', first)


FORMAT = LabelFormat('folders', 'a folder per class', (FOLDER,), _recognises, _read)
