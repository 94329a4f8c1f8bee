"""Splits of a label table: stratified by label, with groups and copies of an image kept together.

Source: Sechidis et al., "On the Stratification of Multi-Label Data", ECML PKDD 2011, by the
package ``iterative-stratification``. Unknown labels do not count. A group is the unit: it has a
label if one of its images has it.
"""

import hashlib
import os
import posixpath
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ...errors import RunError
from ...fileio.equal_files import equal_files
from ...fileio.terminal import printable
from .label_table import SPLITS, LabelTable

MAX_STRATIFIED = 200_000  # images; with 80 classes 100,000 take about 4 s
_FEW = 10  # images of a label, below which its share of a split says nothing
_ROBOFLOW_COPY = re.compile(r'(.*)\.rf\.[0-9a-zA-Z]{16,}\.[^./]+$')


def split_table(
    table: LabelTable,
    data: str | os.PathLike,
    fractions: Mapping[str, float] = {'train': 0.8, 'val': 0.2},
    seed: int = 0,
    max_stratified: int = MAX_STRATIFIED,
) -> LabelTable:
    """Give each image a split; those that the label files give stay.

    Images without a split are distributed; so are those of train, if ``fractions`` has a split that
    the table lacks. Images of one group stay together: those with the same ``group``, Roboflow's
    augmented copies of an image (``*.rf.*``), and files with the same bytes. A group with an image
    in a split that stays goes there. A label that only one group has goes to train.

    Args:
        table (LabelTable): The labels.
        data (str | PathLike): Folder of the images.
        fractions (Mapping): Share of each split among the images that are distributed.
        seed (int): Of the split. The package's version matters, too: keep the split as files.
        max_stratified (int): Above so many images the split follows from a hash of the names, not
            from the labels.

    Raises:
        ModuleNotFoundError: If ``iterative-stratification`` is not installed, and needed.
        ValueError: If the fractions are not positive with a sum of 1, or a split is none.
        RunError: If a split would have no image.
    """
    if not fractions.keys() <= {*SPLITS} or min(fractions.values()) <= 0:
        raise ValueError(f'fractions must be positive, of {", ".join(SPLITS)}; got {fractions}')
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f'the sum of fractions must be 1, got {sum(fractions.values()):g}')
    lacking = fractions.keys() - set(table.splits) - {''}
    free = {'', 'train'} if lacking - {'train'} else {''}
    group_of = _groups(table, data)
    notes = _leaks(table, group_of)
    if not free & set(table.splits):
        return replace(table, notes=(*table.notes, *notes))
    fixed = [split if split not in free else '' for split in table.splits]
    wanted = {name: fraction for name, fraction in fractions.items() if name not in set(fixed)}
    wanted = wanted if 'train' in free else dict(fractions)
    splits: dict[int, str] = {}
    for group, split in zip(group_of, fixed, strict=True):
        if split:
            splits.setdefault(group, split)
    moved = sum(not split and group in splits for group, split in zip(group_of, fixed, strict=True))
    if moved:
        notes.append(f'{moved:,} images go to the split that has copies of them, or their group')
    open_groups = sorted({*group_of} - splits.keys())
    total = sum(wanted.values())
    shares = {name: fraction / total for name, fraction in wanted.items()}
    if len(table.images) > max_stratified:
        splits |= _by_hash(table, group_of, open_groups, shares, seed)
        notes.append(
            f'{len(table.images):,} images are more than {max_stratified:,}: the split follows '
            f'from a hash of the file names and seed {seed}, and is not stratified'
        )
    else:
        found, alone = _stratified(table, group_of, open_groups, shares, seed)
        splits |= found
        if alone:
            notes.append(
                f'{len(alone)} classes have one image, or one group of images, which is in train: '
                f'{", ".join(map(printable, alone[:10]))}{", ..." if len(alone) > 10 else ""}'
            )
    chosen = tuple(split or splits[group] for group, split in zip(group_of, fixed, strict=True))
    number = len(set(group_of))
    if number < len(table.images):
        notes.append(f'{len(table.images):,} images are {number:,} groups that stay together')
    if empty := wanted.keys() - set(chosen):
        raise RunError(
            f'{len(table.images):,} images in {number:,} groups that stay together are too few: '
            f'{min(empty)} would have none, as classes with one group go to train. Label more '
            'images, or give the splits in the label files'
        )
    return replace(table, splits=chosen, notes=(*table.notes, *notes))


def _leaks(table: LabelTable, group_of: Sequence[int]) -> list[str]:
    """Return a note of groups whose images have several splits in the label files."""
    first: dict[int, int] = {}
    leaking = [
        index
        for index, (group, split) in enumerate(zip(group_of, table.splits, strict=True))
        if split and table.splits[first.setdefault(group, index)] != split
    ]
    if not leaking:
        return []
    names = [printable(table.images[i]) for i in (first[group_of[leaking[0]]], leaking[0])]
    return [
        f'{len(leaking):,} images are copies of images, or of their group, in another split of the '
        f'label files, such as {names[0]} and {names[1]}: what is learned is tested, too'
    ]


def _groups(table: LabelTable, data: str | os.PathLike) -> list[int]:
    """Return the first image of the group of each image."""
    parents = list(range(len(table.images)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    first: dict[Hashable, int] = {}
    for index, key in _keys(table, data):
        a, b = sorted((root(index), root(first.setdefault(key, index))))
        parents[b] = a
    return [root(index) for index in range(len(parents))]


def _keys(table: LabelTable, data: str | os.PathLike) -> Iterable[tuple[int, Hashable]]:
    """Yield what images of one group have in common."""
    for index, (image, group) in enumerate(zip(table.images, table.groups, strict=True)):
        if group:
            yield index, ('group', group)
        if copy := _ROBOFLOW_COPY.fullmatch(posixpath.basename(image)):
            yield index, ('roboflow', copy[1])
    for same in equal_files([os.path.join(data, image) for image in table.images]):
        for index in same:
            yield index, ('file', same[0])


def _by_hash(
    table: LabelTable,
    group_of: Sequence[int],
    open_groups: Sequence[int],
    shares: Mapping[str, float],
    seed: int,
) -> dict[int, str]:
    """Return the split of each group by its name, so that it stays when images are added."""
    bounds = np.cumsum(list(shares.values()))
    names = list(shares)
    splits = {}
    for group in open_groups:
        image = table.images[group]
        copy = _ROBOFLOW_COPY.fullmatch(posixpath.basename(image))
        name = table.groups[group] or (copy[1] if copy else image)
        digest = hashlib.blake2b(f'{seed}/{name}'.encode(errors='surrogateescape'), digest_size=8)
        place = int.from_bytes(digest.digest(), 'big') / 2**64
        splits[group] = names[min(int(np.searchsorted(bounds, place, 'right')), len(names) - 1)]
    return splits


def _stratified(
    table: LabelTable,
    group_of: Sequence[int],
    open_groups: Sequence[int],
    shares: Mapping[str, float],
    seed: int,
) -> tuple[dict[int, str], list[str]]:
    """Return the split of each group, and the classes that only one group has."""
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
    splits = {}
    alone = shows.sum(axis=0) == 1
    if 'train' in shares:
        kept = shows[:, alone].any(axis=1)
        splits = {open_groups[row]: 'train' for row in np.flatnonzero(kept).tolist()}
    else:
        kept = np.zeros(len(open_groups), bool)
    rest = np.flatnonzero(~kept)
    # what went to train already is part of its share
    target = np.array(list(shares.values())) * len(open_groups)
    target -= [len(splits) if name == 'train' else 0 for name in shares]
    target = target.clip(min=0)
    if len(rest) and target.sum():
        folds = IterativeStratification(
            shows[rest], target / target.sum(), np.random.RandomState(seed)
        )
        names = list(shares)
        splits |= {open_groups[row]: names[fold] for row, fold in zip(rest, folds, strict=True)}
    classes = [table.classes[i] for i in np.flatnonzero(alone)] if 'train' in shares else []
    return splits, classes


@dataclass(frozen=True)
class SplitCounts:
    """How many images of each split show each class."""

    images: dict[str, int]
    positives: dict[str, np.ndarray]  # (C,) of each split
    unknown: dict[str, np.ndarray]
    classes: tuple[str, ...]

    def largest_deviation(self) -> tuple[str, str, float] | None:
        """Return the class and split whose share differs most, and its difference.

        The share is that of the class's images which are in the split; the difference is to the
        split's share of all images. Classes with fewer than 10 images do not count.
        """
        totals = sum(self.positives.values())
        number = sum(self.images.values())
        found = [
            (self.classes[i], split, counts[i] / totals[i] - self.images[split] / number)
            for split, counts in self.positives.items()
            for i in np.flatnonzero(totals >= _FEW).tolist()
        ]
        return max(found, key=lambda each: abs(each[2]), default=None)


def count_splits(table: LabelTable) -> SplitCounts:
    """Count the images of each split that show each class, and where that is not known."""
    of_image = np.array(table.splits)
    names = [name for name in SPLITS if name in table.splits]
    return SplitCounts(
        images={name: int((of_image == name).sum()) for name in names},
        positives={name: (table.targets[of_image == name] == 1).sum(axis=0) for name in names},
        unknown={name: (table.targets[of_image == name] == -1).sum(axis=0) for name in names},
        classes=table.classes,
    )


def split_counts_table(counts: SplitCounts) -> Group:
    """Return how many images of each split show each class, and the largest deviation below.

    If labels are unknown, also how many lack it, and of how many it is not known.
    """
    with_unknown = any(unknown.any() for unknown in counts.unknown.values())
    table = Table(title='images of each class', title_justify='left')
    table.add_column('class')
    for split in counts.images:
        table.add_column(split, justify='right')
        for what in ('absent', 'unknown') if with_unknown else ():
            table.add_column(what, justify='right', style='dim')
    for i, name in enumerate(counts.classes):
        cells = []
        for split in counts.images:
            positives, unknown = counts.positives[split][i], counts.unknown[split][i]
            cells.append(f'{positives:,}')
            if with_unknown:
                cells += [f'{counts.images[split] - positives - unknown:,}', f'{unknown:,}']
        table.add_row(Text(printable(name)), *cells)
    table.add_section()
    totals = []
    for number in counts.images.values():
        totals += [f'{number:,}', '', ''] if with_unknown else [f'{number:,}']
    table.add_row('all images', *totals)
    if (largest := counts.largest_deviation()) is None:
        return Group(table)
    name, split, difference = largest
    share = counts.images[split] / sum(counts.images.values())
    text = (
        f'largest deviation: {split} has {share:.1%} of all images and '
        f'{abs(difference) * 100:.1f} points {"more" if difference > 0 else "less"} of those of '
        f'{printable(name)} (classes with {_FEW} images or more)'
    )
    return Group(table, Text(text))
