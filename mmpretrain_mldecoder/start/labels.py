"""The labels of a run: read, looked at, split, and stored as COCO JSON."""

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from ..datasets.label_files import (
    Answers,
    LabelTable,
    count_splits,
    read_labels,
    split_counts_table,
    split_table,
    write_coco_files,
)
from ..errors import RunError
from ..fileio.atomic_write import write_file
from ..fileio.terminal import counted, listed, printable
from .questions import with_questions

FRACTIONS = dict(train=0.7, val=0.15, test=0.15)
FEW = 10  # images of a class in train
MOST_LISTED = 10


def describe(table: LabelTable) -> str:
    """Return how much a label table has, and a checksum: another text means other labels."""
    names = [table.images, table.classes, table.splits, table.groups]
    content = json.dumps(names).encode() + table.targets.tobytes()
    digest = hashlib.blake2b(content, digest_size=4).hexdigest()
    numbers = (len(table.images), len(table.classes), int((table.targets == 1).sum()))
    return '{:,} images, {:,} classes, {:,} labels'.format(*numbers) + f' (checksum {digest})'


def prepare_labels(data: Path, answers: Answers, seed: int, out: Path) -> tuple[Answers, str]:
    """Read the labels of a folder, print what there is to know, and write one file a split.

    Thresholds and the best epoch are chosen on ``val``, so the test is of other images: labels that
    come as train and val give a new ``val`` from train, and their val is the test.

    Returns the answers, with those to questions that were asked, and what :func:`describe` says of
    the labels. Raises what :func:`.read_labels` does, and ``RunError`` if a split has no image, or
    none with a label.
    """
    table, answers = with_questions(lambda given: read_labels(data, given), answers)
    description = describe(table)
    if set(table.splits) == {'train', 'val'}:
        renamed = tuple('test' if split == 'val' else split for split in table.splits)
        note = 'val of the label files is the test here, and val is a part of their train'
        table = replace(table, splits=renamed, notes=(*table.notes, note))
    given = {*table.splits}
    table = split_table(table, data, FRACTIONS, seed)
    console = Console(highlight=False, width=110)
    console.print(split_counts_table(count_splits(table)))
    for note in (*table.notes, *_findings(table)):
        console.print(f'- {printable(note)}', markup=False, soft_wrap=True)
    for split in FRACTIONS:
        rows = [i for i, each in enumerate(table.splits) if each == split]
        if not (table.targets[rows] == 1).any():
            why = (
                f'{len(table.images)} images are too few, or the labels are not what they should be'
                if given & {'', 'train'}
                else 'the label files, or the names of their folders, say that all are of '
                f'{" and ".join(sorted(given))}: name the images of train there, or no split'
            )
            raise RunError(f'{split} has {len(rows)} images and no label: {why}')
    write_coco_files(table, data, out)
    return answers, description


def leave_out(images: Collection[str], data: Path, labels: Path) -> None:
    """Take images, by their paths, out of the files of :func:`prepare_labels`, and say so.

    Raises ``RunError`` if a split has no image then.
    """
    for split in FRACTIONS:
        path = labels / f'{split}.json'
        content = json.loads(path.read_text(encoding='utf-8'))
        ids = {
            each['id']: each['file_name']
            for each in content['images']
            if os.path.join(data, each['file_name']) in images
        }
        if len(ids) == len(content['images']):
            raise RunError(f'no image of {split} can be read: see what browse has found')
        if ids:
            names = printable(listed([*ids.values()], MOST_LISTED))
            print(
                f'- cannot be read, and left out: {counted(len(ids), "image")} of {split}: {names}'
            )
            for key, name in (('images', 'id'), ('annotations', 'image_id')):
                content[key] = [each for each in content[key] if each[name] not in ids]
            write_file(path, json.dumps(content))


def _findings(table: LabelTable) -> list[str]:
    """Return a sentence for what makes labels poor material."""
    images, classes = ('image has', 'images have'), ('class has', 'classes have')
    found = []
    unlabelled = int((table.targets == 0).all(axis=1).sum())
    if unlabelled:
        found.append(f'{counted(unlabelled, *images)} no label: negative for all classes')
    unknown = int((table.targets == -1).all(axis=1).sum())
    if unknown:
        found.append(f'{counted(unknown, *images)} no known label: nothing is learned from that')
    of_train = table.targets[[split == 'train' for split in table.splits]]
    positives = (of_train == 1).sum(axis=0)
    rare = [f'{name} ({n})' for name, n in zip(table.classes, positives, strict=True) if n < FEW]
    if rare:
        names = listed(rare, MOST_LISTED)
        found.append(f'{counted(len(rare), *classes)} fewer than {FEW} images in train: {names}')
    certain = (of_train != 0).all(axis=0) & (positives > 0)
    if certain.any():
        names = listed([table.classes[i] for i in np.flatnonzero(certain)], MOST_LISTED)
        has_unknown = (of_train[:, certain] == -1).any()
        unless = ', unless unknown labels count as absent' if has_unknown else ''
        found.append(
            f'{counted(int(certain.sum()), *classes)} no image in train that is known to '
            f'lack it: the model learns that it is in every image{unless}; a split without one has '
            f'no AP of it, its mAP is that of the other classes (docs/partial_labels.md): {names}'
        )
    return found
