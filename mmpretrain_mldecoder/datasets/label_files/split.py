"""Splits of a label table: stratified by label, with groups and copies of an image kept together.

Source: Sechidis et al., "On the Stratification of Multi-Label Data", ECML PKDD 2011, by the
package ``iterative-stratification``. Unknown labels do not count. A group is the unit: it has a
label if one of its images has it.
"""

import hashlib
import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...errors import RunError
from ...fileio.groups import equal_files, joined_groups
from ...fileio.terminal import counted, listed, printable
from .label_table import SPLITS, LabelTable

MAX_STRATIFIED = 200_000  # images; with 80 classes 100,000 take about 4 s
_ROBOFLOW_COPY = re.compile(r'(?:.*/)?([^/]*)\.rf\.[0-9a-zA-Z]{16,}\.[^./]+')


def split_table(
    table: LabelTable,
    data: str | os.PathLike,
    fractions: Mapping[str, float] = {'train': 0.8, 'val': 0.2},
    seed: int = 0,
) -> LabelTable:
    """Give each image a split; those that the label files give stay.

    Images without a split are distributed; so are those of train, if ``fractions`` has a split that
    the table lacks. Images of one group stay together: those with the same ``group``, Roboflow's
    augmented copies of an image (``*.rf.*``), and files with the same bytes. A group with an image
    in a split that stays goes there. A label that only one group has goes to train. Above
    ``MAX_STRATIFIED`` images the split follows from a hash of the names, not from the labels.

    ``fractions`` are the shares of the splits among the images that are distributed, which are in
    the folder ``data``. The split follows from the seed and from the package's version: keep it as
    files.

    Raises:
        ModuleNotFoundError: If ``iterative-stratification`` is not installed, and needed.
        ValueError: If the fractions are not positive with a sum of 1, or a split is none.
        RunError: If a split would have no image.
    """
    values = fractions.values()
    if not fractions.keys() <= {*SPLITS} or min(values) <= 0 or abs(sum(values) - 1) > 1e-6:
        raise ValueError(
            f'fractions must be positive with a sum of 1, of {", ".join(SPLITS)}; got {fractions}'
        )
    given, number = {*table.splits}, len(table.images)
    group_of = joined_groups(number, _pairs(table, data))
    notes = [*table.notes, *_leaks(table, group_of)]
    shares = dict(fractions)
    free = {''}
    if shares.keys() - given - {'train'}:
        free = {'', 'train'}
        shares = {name: share for name, share in shares.items() if name not in given - free}
    if not free & given:
        return replace(table, notes=tuple(notes))
    fixed = [
        (group, '' if split in free else split)
        for group, split in zip(group_of, table.splits, strict=True)
    ]
    splits: dict[int, str] = {}
    for group, split in fixed:
        if split:
            splits.setdefault(group, split)
    if moved := sum(not split and group in splits for group, split in fixed):
        notes.append(
            f'{counted(moved, "image")} put where the split has copies, or the group, already'
        )
    groups = sorted({*group_of})
    open_groups = [group for group in groups if group not in splits]
    found, alone = _distributed(table, group_of, open_groups, shares, seed)
    splits |= found
    if number > MAX_STRATIFIED:
        notes.append(
            f'{number:,} images are more than {MAX_STRATIFIED:,}: the split follows from a hash '
            f'of the file names and seed {seed}, and is not stratified'
        )
    if alone:
        notes.append(
            f'{counted(len(alone), "class has", "classes have")} one image, or one group of '
            f'images, which is in train: {printable(listed(alone, 10))}'
        )
    chosen = tuple(split or splits[group] for group, split in fixed)
    if len(groups) < number:
        notes.append(f'{number:,} images make {counted(len(groups), "group")} that stay together')
    if empty := shares.keys() - {*chosen}:
        raise RunError(
            f'{counted(number, "image")} in {counted(len(groups), "group")} that stay together: '
            f'too few, {min(empty)} would have none, as classes with one group go to train. Label '
            'more images, or give the splits in the label files'
        )
    return replace(table, splits=chosen, notes=tuple(notes))


def _pairs(table: LabelTable, data: str | os.PathLike) -> Iterable[tuple[int, int]]:
    """Yield pairs of images that stay together."""
    first: dict[Hashable, int] = {}
    for index, (image, group) in enumerate(zip(table.images, table.groups, strict=True)):
        if group:
            yield first.setdefault(('group', group), index), index
        if copy := _ROBOFLOW_COPY.fullmatch(image):
            yield first.setdefault(('copy', copy[1]), index), index
    for same in equal_files([os.path.join(data, image) for image in table.images]):
        yield from ((same[0], index) for index in same)


def make_folds(
    table: LabelTable, data: str | os.PathLike, number: int, seed: int = 0
) -> np.ndarray:
    """Return a fold, 0 to ``number - 1``, for each image, ``(N,)``, whatever its split.

    Stratified by label, with groups and copies of an image kept together, as in
    :func:`split_table`, which has the arguments and errors.
    """
    group_of = joined_groups(len(table.images), _pairs(table, data))
    groups, shares = sorted({*group_of}), {str(fold): 1 / number for fold in range(number)}
    folds, _ = _distributed(table, group_of, groups, shares, seed)
    return np.array([int(folds[group]) for group in group_of])


def _leaks(table: LabelTable, group_of: Sequence[int]) -> list[str]:
    """Return a note of groups whose images have several splits in the label files."""
    first: dict[int, int] = {}
    leaking = [
        (first[group], index)
        for index, (group, split) in enumerate(zip(group_of, table.splits, strict=True))
        if split and table.splits[first.setdefault(group, index)] != split
    ]
    return [
        f'{counted(len(leaking), "image")} with copies, or others of their group, in another '
        f'split of the label files, such as {printable(table.images[one])} and '
        f'{printable(table.images[other])}: what is learned is tested, too'
        for one, other in leaking[:1]
    ]


def _by_hash(
    table: LabelTable, open_groups: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[int, str]:
    """Return the split of each group by its name, so that it stays when images are added."""
    bounds = np.cumsum(list(shares.values())) / sum(shares.values())
    splits = {}
    for group in open_groups:
        image = table.images[group]
        copy = _ROBOFLOW_COPY.fullmatch(image)
        name = table.groups[group] or (copy[1] if copy else image)
        digest = hashlib.blake2b(f'{seed}/{name}'.encode(errors='surrogateescape'), digest_size=8)
        place = int.from_bytes(digest.digest(), 'big') / 2**64
        splits[group] = [*shares][int((bounds[:-1] <= place).sum())]
    return splits


def _distributed(
    table: LabelTable,
    group_of: Sequence[int],
    open_groups: Sequence[int],
    shares: Mapping[str, float],
    seed: int,
) -> tuple[dict[int, str], list[str]]:
    """Return the split of each group, and the classes that went to train with their only group."""
    if len(table.images) > MAX_STRATIFIED:
        return _by_hash(table, open_groups, shares, seed), []
    try:
        from iterstrat.ml_stratifiers import IterativeStratification
    except ImportError as error:
        raise ModuleNotFoundError(
            'a stratified split needs iterative-stratification: pip install '
            'iterative-stratification, or give train and val in the label files'
        ) from error
    row_of = {group: row for row, group in enumerate(open_groups)}
    shows = np.zeros((len(open_groups), len(table.classes)), bool)
    for index, group in enumerate(group_of):
        if group in row_of:
            shows[row_of[group]] |= table.targets[index] == 1
    alone = (shows.sum(axis=0) == 1) & ('train' in shares)
    in_train = shows[:, alone].any(axis=1)
    splits = {open_groups[row]: 'train' for row in np.flatnonzero(in_train).tolist()}
    rest = np.flatnonzero(~in_train)
    # what went to train already is part of its share
    target = np.array(list(shares.values())) / sum(shares.values()) * len(open_groups)
    target -= [len(splits) if name == 'train' else 0 for name in shares]
    target = target.clip(min=0)
    if len(rest) and target.sum():
        random = np.random.RandomState(seed)
        folds = IterativeStratification(shows[rest], target / target.sum(), random)
        splits |= {open_groups[row]: [*shares][n] for row, n in zip(rest, folds, strict=True)}
    return splits, [table.classes[i] for i in np.flatnonzero(alone)]
