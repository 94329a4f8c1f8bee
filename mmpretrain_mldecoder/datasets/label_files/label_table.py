"""The table that all label files are read into, and merging of rows into it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np

from ...fileio.near_names import difference, plain_name
from ...fileio.terminal import counted, printable

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
    labels: Mapping[str, int]  # 1 for yes, 0 for no, -1 for unknown; others: as Labels.absent says
    split: str = ''  # one of SPLITS, or '' if the file does not say
    group: str = ''  # what a split keeps together; '' if the file does not say


class Labels(NamedTuple):
    """What a reader gives: the rows of a label file."""

    rows: Sequence[LabelRow]
    classes: Sequence[str] = ()  # in the order that the format states; those of the rows may do
    notes: Sequence[str] = ()  # one sentence each: what was skipped or chosen
    are_numbers: bool = False  # whether classes are numbers from 0 on, with names elsewhere
    absent: int = 0  # what a class is that no row of an image has: 0 for no, -1 for unknown


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
    """Return the split that a word such as ``'VALIDATION'`` means, '' if none."""
    return _SPLIT_WORDS.get(word.strip().lower(), '')


def split_in_name(name: str) -> tuple[str, int, int]:
    """Return the split of a file or folder name and the place of its word: ``('', 0, 0)``.

    The last word counts, as in ``test_data_train.csv``.
    """
    found = [*_SPLIT_IN_NAME.finditer(name)]
    return (split_of_word(found[-1][1]), *found[-1].span()) if found else ('', 0, 0)


def merge_rows(
    rows: Sequence[LabelRow], classes: Iterable[str] = (), absent: int = 0
) -> LabelTable:
    """Make one table of rows, where each ``image`` is a path already.

    Several rows of an image are united: a class is yes if one row says so, else no if one says
    so, else unknown if one says so. Names are stripped of blanks around them. One that is only
    ever unknown, and not among ``classes``, is none.

    Args:
        rows (Sequence[LabelRow]): In any order; images keep that of their first rows.
        classes (Iterable[str]): The order of the classes. Those that only rows have follow, sorted.
        absent (int): What a class is that no row of an image has. Defaults to 0, no.

    Raises:
        ValueError: If there is no class, or a name is empty.
    """
    of_rows = [row.labels for row in rows]
    names = {name: name.strip() for name in set().union(*of_rows)}
    named = dict.fromkeys(name.strip() for name in classes)
    order = np.array([*named, *sorted({*names.values()} - named.keys(), key=_by_number)], object)
    if len(order) == 0 or '' in order:
        unnamed = [row.image for row in rows if '' in map(str.strip, row.labels)]
        what = 'an empty name' if len(order) else 'no class'
        what += f' (of {printable(unnamed[0])})' if unnamed else ''
        raise ValueError(f'the labels have {what} among {len(rows)} rows: check the label file')
    place_of = {name: i for i, name in enumerate(order)}
    place = {name: place_of[stripped] for name, stripped in names.items()}
    images = {image: i for i, image in enumerate(dict.fromkeys(row.image for row in rows))}
    of_row = [images[row.image] for row in rows]
    image_of = np.repeat(of_row, [*map(len, of_rows)]).astype(np.int64)
    class_of = np.fromiter(map(place.__getitem__, chain.from_iterable(of_rows)), np.int64)
    values = np.fromiter(chain.from_iterable(map(dict.values, of_rows)), np.int8)
    says = np.zeros((3, len(images), len(order)), bool)  # unknown, no, yes
    says[values + 1, image_of, class_of] = True
    is_known = says[1:].any(axis=(0, 1))
    is_known[: len(named)] = True
    says, left_out, order = says[:, :, is_known], order[~is_known], order[is_known]
    no_or_unknown = np.where(says[1], 0, np.where(says[0], -1, absent))
    targets = np.where(says[2], 1, no_or_unknown).astype(np.int8)
    paths, kept = tuple(images), tuple(order)
    splits, split_notes = _one_a_row(rows, of_row, paths, 'split')
    groups, group_notes = _one_a_row(rows, of_row, paths, 'group')
    notes = [*_merge_notes(of_row, says, paths, kept), *_name_notes(names, kept)]
    if len(left_out):
        notes.append(
            f'{counted(len(left_out), "class")} left out, unknown for all images: '
            f'{printable(", ".join(left_out[:5]))}'
        )
    return LabelTable(paths, kept, targets, splits, groups, (*notes, *split_notes, *group_notes))


def _by_number(name: str) -> tuple:
    """Sort names that are numbers by their value, before others."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _merge_notes(
    of_row: Sequence[int], says: np.ndarray, images: Sequence[str], classes: Sequence[str]
) -> Iterator[str]:
    counts = np.bincount(of_row)
    if several := int((counts > 1).sum()):
        image = printable(images[counts.argmax()])
        yield (
            f'{counted(several, "image has", "images have")} several rows ({image} has '
            f'{counts.max()}): their labels are united'
        )
    conflicts = np.argwhere(says[2] & says[1])
    for image, name in conflicts[:1]:
        yield (
            f'{counted(len(conflicts), "label is", "labels are")} yes in one row and no in another '
            f'one, which makes yes: the first is {printable(classes[name])} of '
            f'{printable(images[image])}'
        )


def _name_notes(names: Mapping[str, str], order: Iterable[str]) -> Iterator[str]:
    stripped = [name for name, rest in names.items() if name != rest]
    if stripped:
        yield f'{counted(len(stripped), "class name")} with blanks around, such as {stripped[0]!r}'
    alike: dict[str, str] = {}
    for name in order:
        first = alike.setdefault(plain_name(name), name)
        if first != name:
            yield (
                f'the classes {printable(first)!r} and {printable(name)!r} differ in '
                f'{difference(first, name)} only: two classes here; if they are one, give them '
                'one name in the label file'
            )


def _one_a_row(
    rows: Sequence[LabelRow], of_row: Sequence[int], images: Sequence[str], what: str
) -> tuple[tuple[str, ...], list[str]]:
    """Return the split or group of each image, the first that a row says, and notes."""
    found = [''] * len(images)
    differ: dict[int, str] = {}
    for index, row in zip(of_row, rows, strict=True):
        value = getattr(row, what)
        found[index] = found[index] or value
        if value and found[index] != value:
            differ[index] = value
    notes = [
        f'{counted(len(differ), "image is", "images are")} in several {what}s, the first, '
        f'{printable(images[index])}, in {printable(found[index])} and {printable(value)}: '
        'the first counts'
        for index, value in list(differ.items())[:1]
    ]
    return tuple(found), notes
