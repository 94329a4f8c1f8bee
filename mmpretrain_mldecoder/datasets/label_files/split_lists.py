"""Splits from lists of images beside the labels, such as ``train.txt`` and ``test_list.txt``.

Sources: Pascal VOC (``ImageSets/Main/val.txt``), ChestX-ray14 (``train_val_list.txt``), darknet,
NUS-WIDE (``TestImagelist.txt``): the name of an image on each line. CelebA has one list, whose
lines end with 0 for train, 1 for val and 2 for test::

    000001.jpg 0
"""

import os.path as osp
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path

from ...fileio.terminal import counted, listed, printable
from ..image_search import folders_below
from .file_content import read_text
from .image_names import ImageNames
from .label_table import SPLITS, split_of_word

_SUFFIXES = ('.txt', '.lst', '')
_WORDS = re.compile(
    r'(?P<split>training|train|validation|valid|val|dev|testing|test)'
    r'|images?|imgs?|files?|names?|ids?|lists?|sets?|splits?|data|[\W\d_]+',
    re.IGNORECASE,
)
_MOST = 10  # files of such names in a folder; more are those of an image each
_TRAIN_AND_VAL = 'train and val'
_CELEBA = re.compile(r'list_eval_partition\.(txt|csv)')
_CELEBA_LINE = re.compile(r'\s*(\S.*?)[\s,]+([012])\s*')


def splits_of_lists(
    images: ImageNames, labelled: Iterable[str], encoding: str | None = None
) -> tuple[dict[str, str], list[str]]:
    """Return the split of each labelled image that a list gives one, and notes.

    An image in lists of several splits is of the last of train, val and test; one that is in a list
    of train and val alone, of train. Of several folders with lists the one that names the most
    labelled images counts first.
    """
    known = frozenset(labelled)
    folders = [
        _of_folder(Path(parent), names, images, known, encoding)
        for parent, names in folders_below(str(images.data), Counter())
    ]
    splits: dict[str, str] = {}
    notes: list[str] = []
    for of_folder, of_notes in sorted(folders, key=lambda each: -len(each[0])):
        if not of_folder or of_folder.keys() - splits.keys():
            splits = of_folder | splits
            notes += of_notes
    if splits and (rest := len(known) - len(splits)):
        notes.append(f'{counted(rest, "image is", "images are")} in no list of a split')
    return splits, notes


def _of_folder(
    folder: Path, files: Sequence[str], images: ImageNames, known: Set[str], encoding: str | None
) -> tuple[dict[str, str], list[str]]:
    """Return what the lists in a folder say of known images, and notes."""
    relative = osp.relpath(folder, images.data).replace(osp.sep, '/')
    relative = '' if relative == osp.curdir else relative
    splits: dict[str, str] = {}
    paths: dict[str, list[str]] = {}
    notes = []
    for split, path, names in _lists(folder, files, encoding):
        shown = printable(osp.join(relative, path.name))
        of_name = {name: images.find(name, relative, split)[0] for name in names}
        if [*of_name.values()].count(None) * 2 > len(of_name):  # something else
            continue
        paths.setdefault(split, []).append(shown)
        for what, those in {
            'without labels': [name for name in names if of_name[name] not in known],
            'in a list of another split, too': [
                name for name in names if splits.get(of_name[name] or '') in SPLITS
            ],
        }.items():
            if those:
                notes.append(f'{shown}: {len(those):,} of {len(names):,} lines are names {what}, ')
                notes[-1] += f'first: {printable(those[0])}'
        splits |= dict.fromkeys(known & {*of_name.values()}, split)
    for same in paths.values():
        if len(same) > 1:
            return {}, [f'lists of one split, so none of them is used: {listed(same)}']
    splits = {image: 'train' if s == _TRAIN_AND_VAL else s for image, s in splits.items()}
    used = dict.fromkeys(path for same in paths.values() for path in same)
    return splits, [f'splits are those of {listed(used)}', *notes] if splits else []


def _lists(
    folder: Path, files: Sequence[str], encoding: str | None
) -> Iterator[tuple[str, Path, list[str]]]:
    """Yield split, path and lines of what may be lists, of train and val first."""
    lists = []
    split_of = {name: split for name in sorted(files) if (split := _split_of_list(name))}
    for name, split in split_of.items() if len(split_of) <= _MOST else ():
        with suppress(ValueError):  # no text
            lines = [*filter(None, map(str.strip, read_text(folder / name, encoding).split('\n')))]
            lists.append((split, folder / name, lines))
    for name in filter(_CELEBA.fullmatch, files):
        lines = read_text(folder / name, encoding).split('\n')
        rows = [match.groups() for match in map(_CELEBA_LINE.fullmatch, lines) if match]
        for number, split in enumerate(SPLITS):
            lists.append((split, folder / name, [image for image, of in rows if of == str(number)]))
    yield from sorted(lists, key=lambda each: (_TRAIN_AND_VAL, *SPLITS).index(each[0]))


def _split_of_list(name: str) -> str:
    """Return the split of a file by its name, if that has words for a list of images alone."""
    stem, suffix = osp.splitext(name)
    if suffix.lower() not in _SUFFIXES or _WORDS.sub('', stem):
        return ''
    words = [match['split'] for match in _WORDS.finditer(stem) if match['split']]
    splits = {split_of_word(word) for word in words}
    if splits == {'train', 'val'}:
        return _TRAIN_AND_VAL
    return splits.pop() if len(splits) == 1 else ''
