"""The table that all label files are read into, and merging of rows into it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np

from ...fileio.near_names import difference, plain_name
from ...fileio.terminal import printable

SPLITS = ('train', 'val', 'test')
_SPLIT_WORDS = {
    **dict.fromkeys(('train', 'training'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation', 'dev'), 'val'),
    **dict.fromkeys(('test', 'testing'), 'test'),
}
_SPLIT_IN_NAME = re.compile(
    rf'(?<![a-z])({"|".join(sorted(_SPLIT_WORDS, key=len, reverse=True))})(?![a-z])', re.IGNORECASE
)


class LabelRow(NamedTuple):
    """What a label file says about one image."""

    image: str  # as the file names it
    labels: Mapping[str, int]  # 1 for yes, 0 for no, -1 for unknown; classes that are absent: no
    split: str = ''  # one of SPLITS, or '' if the file does not say
    group: str = ''  # what a split keeps together; '' if the file does not say


class Labels(NamedTuple):
    """What a reader gives: the rows of a label file."""

    rows: Sequence[LabelRow]
    classes: Sequence[str] = ()  # in the order that the format states; those of the rows may do
    notes: Sequence[str] = ()  # one sentence each: what was skipped or chosen
    are_numbers: bool = (
        False  # whether the classes are numbers from 0 on, whose names are elsewhere
    )


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The labels of N images and C classes, whatever file they come from."""

    images: tuple[str, ...]  # paths relative to the data, each once
    classes: tuple[str, ...]  # different names
    targets: np.ndarray  # (N, C) int8: 1 for yes, 0 for no, -1 for unknown
    splits: tuple[str, ...]  # one of SPLITS for each image, '' where the files do not say
    groups: tuple[str, ...]  # for each image, '' where the files do not say
    notes: tuple[str, ...] = ()  # what was merged, dropped, skipped, counted
    missing: tuple[str, ...] = field(default=(), repr=False)  # rows whose image was not found
    unlisted: tuple[str, ...] = field(default=(), repr=False)  # images without a row


def split_of_word(word: str) -> str:
    """Return the split that a word such as ``'VALIDATION'`` means, '' if it means none."""
    return _SPLIT_WORDS.get(word.strip().lower(), '')


def split_in_name(name: str) -> tuple[str, int, int]:
    """Return the split of a file or folder name and the place of its word: ``('', 0, 0)``.

    The last word counts, as in ``test_data_train.csv``.
    """
    found = [*_SPLIT_IN_NAME.finditer(name)]
    return (split_of_word(found[-1][1]), *found[-1].span()) if found else ('', 0, 0)


def merge_rows(rows: Sequence[LabelRow], classes: Iterable[str] = ()) -> LabelTable:
    """Make one table of rows, where each ``image`` is a path already.

    Several rows of an image are united: a class is yes if one row says so, else no if one says
    so, else unknown if one says so. Names are stripped of blanks around them. One that is only
    ever unknown, and not among ``classes``, is none.

    Args:
        rows (Sequence[LabelRow]): In any order; images keep that of their first rows.
        classes (Iterable[str]): The order of the classes. Those that only rows have follow, sorted.

    Raises:
        ValueError: If there is no class, or a name is empty.
    """
    names = {name: name.strip() for name in set().union(*(row.labels for row in rows))}
    named = list(dict.fromkeys(name.strip() for name in classes))
    order = {name: i for i, name in enumerate(named)}
    for name in sorted(set(names.values()) - order.keys(), key=_by_number):
        order[name] = len(order)
    if not order or '' in order:
        what = 'an empty name' if order else 'no class'
        raise ValueError(f'the labels have {what} among {len(rows)} rows: check the label file')
    place = {name: order[stripped] for name, stripped in names.items()}
    images = {image: i for i, image in enumerate(dict.fromkeys(row.image for row in rows))}
    of_row = [images[row.image] for row in rows]
    image_of = np.repeat(of_row, [len(row.labels) for row in rows]).astype(np.int64)
    of_rows = [row.labels for row in rows]
    class_of = np.fromiter(map(place.__getitem__, chain.from_iterable(of_rows)), np.int64)
    values = np.fromiter(chain.from_iterable(map(dict.values, of_rows)), np.int8)
    says = np.zeros((3, len(images), len(order)), bool)  # unknown, no, yes
    says[values + 1, image_of, class_of] = True
    is_known = says[1:].any(axis=(0, 1))
    is_known[: len(named)] = True
    left_out = [name for name, known in zip(order, is_known, strict=True) if not known]
    if left_out:
        says, order = says[:, :, is_known], {n: i for n, i in order.items() if is_known[i]}
    targets = np.where(says[2], 1, np.where(says[1], 0, -says[0].astype(np.int8))).astype(np.int8)
    notes = [*_merge_notes(rows, images, says, tuple(order)), *_name_notes(names, order)]
    if left_out:
        notes.append(
            f'{len(left_out)} classes are unknown for all images, and left out: '
            f'{printable(", ".join(left_out[:5]))}'
        )
    splits, split_notes = _one_a_row(rows, of_row, list(images), 'split')
    groups, group_notes = _one_a_row(rows, of_row, list(images), 'group')
    return LabelTable(
        tuple(images), tuple(order), targets, splits, groups, (*notes, *split_notes, *group_notes)
    )


def _by_number(name: str) -> tuple:
    """Sort names that are numbers by their value, before others."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _merge_notes(
    rows: Sequence[LabelRow], images: Mapping[str, int], says: np.ndarray, classes: tuple[str, ...]
) -> Iterable[str]:
    if len(images) < len(rows):
        counts = Counter(row.image for row in rows)
        image, count = counts.most_common(1)[0]
        several = sum(1 for count in counts.values() if count > 1)
        yield (
            f'{several:,} images have several rows ({printable(image)} has {count}): their labels '
            'are united'
        )
    conflicts = np.argwhere(says[2] & says[1])
    if len(conflicts):
        image = list(images)[conflicts[0, 0]]
        yield (
            f'{len(conflicts):,} labels are yes in one row and no in another one, and count as '
            f'yes: the first is {printable(classes[conflicts[0, 1]])} of {printable(image)}'
        )


def _name_notes(names: Mapping[str, str], order: Mapping[str, int]) -> Iterable[str]:
    stripped = [name for name, rest in names.items() if name != rest]
    if stripped:
        yield f'{len(stripped)} class names have blanks around them, such as {stripped[0]!r}'
    alike: dict[str, list[str]] = {}
    for name in order:
        alike.setdefault(plain_name(name), []).append(name)
    for first, *others in alike.values():
        for other in others:
            yield (
                f'the classes {printable(first)!r} and {printable(other)!r} differ in '
                f'{difference(first, other)} only: two classes here; if they are one, give them '
                'one name in the label file'
            )


def _one_a_row(
    rows: Sequence[LabelRow], of_row: Sequence[int], images: Sequence[str], what: str
) -> tuple[tuple[str, ...], list[str]]:
    """Return the split or group of each image, the first that a row says, and notes."""
    found: dict[int, str] = {}
    differ: dict[int, str] = {}
    for index, row in zip(of_row, rows, strict=True):
        value = getattr(row, what)
        if value and found.setdefault(index, value) != value:
            differ[index] = value
    notes = [
        f'{len(differ):,} images are in several {what}s, the first, {printable(images[index])}, in '
        f'{printable(found[index])} and {printable(value)}: the first counts'
        for index, value in list(differ.items())[:1]
    ]
    return tuple(map(found.get, range(len(images)), repeat(''))), notes
