"""The images below a folder, found by the names that label files give them."""

import os
import os.path as osp
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from ...fileio.terminal import printable
from ..image_files import near_name
from ..image_header import image_suffixes
from ..image_search import find_images
from .label_table import LabelRow, split_in_name

_ADDRESS = re.compile(r'[a-z][a-z0-9+.-]*://', re.IGNORECASE)
_UPLOAD = re.compile(r'[0-9a-f]{8}-(?=.)')  # what Label Studio puts in front of uploaded files


class ImageNames:
    """The images below a folder, each listed once.

    Args:
        data (str | PathLike): The folder.
    """

    def __init__(self, data: str | os.PathLike):
        self.data = Path(data)

    @cached_property
    def paths(self) -> list[str]:
        """Sorted paths of the images, relative to the folder, with slashes."""
        paths, self.left_out = find_images(self.data)
        start = len(osp.join(self.data, ''))
        return [path[start:].replace(os.sep, '/') for path in paths]

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset(self.paths)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        stems: dict[str, list[str]] = {}
        for path in self.paths:
            stems.setdefault(posixpath.splitext(path)[0], []).append(path)
        return stems

    @cached_property
    def _by_end(self) -> dict[str, list[str]]:
        """Paths by base name, with and without suffix."""
        ends: dict[str, list[str]] = {}
        for path in self.paths:
            base = posixpath.basename(path)
            for end in {base, posixpath.splitext(base)[0]}:
                ends.setdefault(end, []).append(path)
        return ends

    def find(self, name: str, folder: str = '', split: str = '') -> tuple[str | None, bool]:
        """Return the path of an image, None if it is not clear, and whether folders were ignored.

        Tried are the name below ``folder`` (of the label file, relative to the data) and below the
        data, with and without a suffix; then what ends as the name does, as much of it as
        possible. Of several such images the one in a folder of the split, or else the one below
        ``folder``, is meant.

        Args:
            name (str): As in a label file; an address or an absolute path may be one of another
                machine.
            folder (str): Where the label file is.
            split (str): Of the image, '' if it is not known.
        """
        if folder == '' and name in self._all:  # the usual case
            return name, False
        for reading in _readings(name):
            for base in dict.fromkeys((folder, '')):
                path = posixpath.normpath(posixpath.join(base, reading))
                if path in self._all:
                    return path, False
                if len(found := self._by_stem.get(path, ())) == 1:
                    return found[0], False
            parts = [part for part in reading.split('/') if part not in ('', '.', '..')]
            for end in dict.fromkeys((parts[-1], _UPLOAD.sub('', parts[-1])) if parts else ()):
                if ends := self._by_end.get(end):
                    return self._longest(ends, [*parts[:-1], end], folder, split)
        return None, False

    def _longest(
        self, paths: Sequence[str], parts: list[str], folder: str, split: str
    ) -> tuple[str | None, bool]:
        """Return the path that agrees with most of the last parts of a name."""
        names = [path.split('/')[:-1] for path in paths]
        agreeing = [_equal_ends(folders, parts[:-1]) for folders in names]
        best = [i for i, number in enumerate(agreeing) if number == max(agreeing)]
        of_split = [i for i in best if split and split in map(_split_of_folder, names[i])]
        below = [i for i in best if folder and (paths[i] + '/').startswith(folder + '/')]
        chosen = next((group for group in (best, of_split, below) if len(group) == 1), None)
        if chosen is None:
            return None, False
        return paths[chosen[0]], agreeing[chosen[0]] < len(parts) - 1

    def resolve(
        self, rows: Iterable[tuple[LabelRow, str]]
    ) -> tuple[list[LabelRow], list[str], list[str]]:
        """Give rows the paths of their images.

        Args:
            rows (Iterable): Each with the folder of its label file, relative to the data.

        Returns:
            tuple: The rows whose image was found; the names of the others; notes.
        """
        found: dict[tuple[str, str, str], tuple[str | None, bool]] = {}
        kept: list[tuple[LabelRow, str]] = []
        missing: list[str] = []
        for row, folder in rows:
            key = (row.image, folder, row.split)
            if key not in found:
                found[key] = self.find(*key)
            path = found[key][0]
            if path is None:
                missing.append(row.image)
            else:
                kept.append((row, path))
        # A file may have two names (a.jpg, ./a.jpg), but not if folders were ignored for one.
        names: dict[str, set[str]] = defaultdict(set)
        for (name, _, _), (path, _) in found.items():
            if path is not None:
                names[path].add(name)
        guessed = {key[0]: path for key, (path, ignored) in found.items() if path and ignored}
        unclear = {name for name, path in guessed.items() if len(names[path]) > 1}
        notes = []
        if unclear:
            name = min(unclear)
            other = min(names[guessed[name]] - {name})
            missing += [row.image for row, _ in kept if row.image in unclear]
            notes.append(
                f'{len(unclear):,} images are left out, because others have the same file name: '
                f'{printable(name)} and {printable(other)} could both be '
                f'{printable(guessed[name])}'
            )
        if clear := sorted(guessed.keys() - unclear):
            notes.append(
                f'{len(clear):,} images are found by their file name only, such as '
                f'{printable(clear[0])}: {printable(guessed[clear[0]])}'
            )
        rows = [row._replace(image=path) for row, path in kept if row.image not in unclear]
        return rows, missing, notes

    def describe_missing(self, missing: Sequence[str]) -> str:
        """Return a sentence with the number of missing images, an example, and a near name."""
        near = near_name(self.data, missing)
        several = sum(len(self._by_end.get(posixpath.basename(name), ())) > 1 for name in missing)
        hint = f'; {several:,} have the file name of several images' if several else ''
        return (
            f'{len(missing):,} rows name images that are not below {self.data}, first: '
            f'{printable(missing[0])}{near}{hint}'
        )


def _readings(name: str) -> Iterator[str]:
    """Yield ways to read a name: as it is, as an address, with backslashes and percent codes."""
    name = name.strip()
    if address := _ADDRESS.match(name):
        name = name[address.end() :].partition('?')[0]
    elif '?d=' in name:  # Label Studio's local files: /data/local-files/?d=folder/a.jpg
        name = name.partition('?d=')[2]
    slashed = name.replace('\\', '/')
    decoded = unquote(name)
    yield from dict.fromkeys((name, slashed, decoded, decoded.replace('\\', '/')))


def _equal_ends(one: Sequence[str], other: Sequence[str]) -> int:
    number = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        number += 1
    return number


def _split_of_folder(name: str) -> str:
    return split_in_name(name)[0]


def has_image_suffix(name: str) -> bool:
    """Whether a name or an address ends as that of an image."""
    return posixpath.splitext(name.strip().partition('?')[0])[1].lower() in image_suffixes()
