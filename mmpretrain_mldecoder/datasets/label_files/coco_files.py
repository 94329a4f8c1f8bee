"""Writing of a label table as COCO JSON files, one a split, which ``COCOMultiLabel`` reads."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from ...fileio.atomic_write import write_file
from ...fileio.terminal import printable
from ..image_header import read_image_header
from .label_table import SPLITS, LabelTable
from .split_counts import SplitCounts

_HEADER_BYTES = 2**16  # enough but for JPEGs with a large preview in front


def write_coco_files(
    table: LabelTable, data: str | os.PathLike, out: str | os.PathLike
) -> dict[str, Path]:
    """Write ``train.json``, ``val.json`` and ``test.json``, of those splits that have images.

    An unknown label is an annotation with ``ignore``. Heights and widths are those in the headers
    of the images, as stored; an image whose header is not at the beginning has none.

    Images without a split are left out. ``data`` is their folder, ``out`` that of the files, which
    is created. Returns the file of each split. Raises ``ValueError`` if the name of an image is not
    UTF-8, which JSON cannot have.
    """
    # The same ids of categories, and all of them, in each file
    categories = [dict(id=i, name=name) for i, name in enumerate(table.classes)]
    written = {}
    for split in SPLITS:
        of_split = [i for i, each in enumerate(table.splits) if each == split]
        if not of_split:
            continue
        images = [_image(i, table.images[i], data) for i in of_split]
        annotations: list[dict] = []
        for i in of_split:
            for label in np.flatnonzero(table.targets[i]).tolist():
                ids = dict(id=len(annotations), image_id=i, category_id=label)
                annotations.append(ids if table.targets[i, label] == 1 else ids | dict(ignore=1))
        content = dict(images=images, annotations=annotations, categories=categories)
        written[split] = write_file(Path(out, f'{split}.json'), msgspec.json.encode(content))
    return written


def read_split_counts(folder: str | os.PathLike) -> SplitCounts:
    """Count what :func:`write_coco_files` wrote to a folder, as ``count_splits`` does a table."""
    counts = SplitCounts((), {}, {}, {})
    for split in SPLITS:
        path = Path(folder) / f'{split}.json'
        if not path.is_file():
            continue
        content = msgspec.json.decode(path.read_bytes())
        classes = tuple(each['name'] for each in content['categories'])
        counts = counts._replace(classes=classes)
        counts.images[split] = len(content['images'])
        for found, is_unknown in ((counts.positives, False), (counts.unknown, True)):
            labels = [
                each['category_id']
                for each in content['annotations']
                if ('ignore' in each) == is_unknown
            ]
            found[split] = np.bincount(np.array(labels, np.int64), minlength=len(classes))
    return counts


def _image(image_id: int, name: str, data: str | os.PathLike) -> dict:
    if name != name.encode(errors='replace').decode():
        raise ValueError(
            f'the file name {printable(name)} is not UTF-8, which JSON cannot have: rename it'
        )
    size = {}
    with suppress(Exception):  # Pillow raises anything for what is no image; browse says so
        with open(os.path.join(data, name), 'rb') as file:
            header = read_image_header(file.read(_HEADER_BYTES), in_full=False)
        if header is not None and all(header.size):
            size = dict(zip(('height', 'width'), header.size, strict=True))
    return dict(id=image_id, file_name=name) | size
