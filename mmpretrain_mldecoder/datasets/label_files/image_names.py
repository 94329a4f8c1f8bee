"""The images below a folder, found by the names that label files give them."""

import os
import os.path as osp
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from ...fileio.terminal import counted, printable
from ..image_files import near_name
from ..image_header import image_suffixes
from ..image_search import find_images
from .label_table import LabelRow, split_in_name

_ADDRESS = re.compile(r'[a-z][a-z0-9+.-]*://', re.IGNORECASE)
_MOST_PARTS = 20  # of a name that are compared
_MOST_ALIKE = 100  # images of one name, above which none of them is meant
_UPLOAD = re.compile(r'^[0-9a-f]{8}-(?=.)')  # what Label Studio puts in front of uploaded files


class ImageNames:
    """The images below a folder, each listed once."""

    def __init__(self, data: str | os.PathLike):
        self.data = Path(data)
        self._ends: dict[int, dict[str, list[str]]] = {}

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
        stems: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            stems[posixpath.splitext(path)[0]].append(path)
        return stems

    def _by_end(self, number: int) -> dict[str, list[str]]:
        """Return the paths by their last parts, with and without suffix."""
        if number not in self._ends:
            ends = self._ends[number] = defaultdict(list)
            for path in self.paths:
                if len(parts := path.split('/')[-number:]) == number:
                    end = '/'.join(parts)
                    for each in {end, posixpath.splitext(end)[0]}:
                        ends[each].append(path)
        return self._ends[number]

    @cached_property
    def _by_uploaded_name(self) -> dict[str, list[str]]:
        """The paths by what Label Studio, or Django, makes of a file name, also without suffix."""
        names: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = re.sub(r'[^-\w.]', '', posixpath.basename(path).strip().replace(' ', '_'))
            for each in {name, posixpath.splitext(name)[0]}:
                names[each].append(path)
        return names

    def find(self, name: str, folder: str = '', split: str = '') -> tuple[str | None, bool]:
        """Return the path of an image, None if it is not clear, and whether folders were ignored.

        Tried are the name below ``folder`` (of the label file, relative to the data) and below the
        data, with and without a suffix; then what ends as the name does, as much of it as
        possible. Of several such images the one in a folder of the split, or else the one below
        ``folder``, is meant. An address or an absolute path may be one of another machine.
        """
        if folder == '' and name in self._all:  # the usual case
            return name, False
        readings = _readings(name)
        for reading in readings:
            for base in dict.fromkeys((folder, '')):
                path = posixpath.normpath(posixpath.join(base, reading))
                if path in self._all:
                    return path, False
                if len(found := self._by_stem.get(path, ())) == 1:
                    return found[0], False
        for reading in readings:
            parts = [part for part in reading.split('/') if part not in ('', '.', '..')]
            for last in dict.fromkeys((parts[-1], _UPLOAD.sub('', parts[-1])) if parts else ()):
                for number in range(min(len(parts), _MOST_PARTS), 0, -1):
                    end = '/'.join([*parts[len(parts) - number : -1], last])
                    if found := self._by_end(number).get(end):
                        return _choose(found, folder, split), number < len(parts)
        last = posixpath.basename(readings[0])
        if (end := _UPLOAD.sub('', last)) != last and (found := self._by_uploaded_name.get(end)):
            return _choose(found, folder, split), True
        return None, False

    def resolve(
        self, rows: Iterable[tuple[LabelRow, str]]
    ) -> tuple[list[LabelRow], list[str], list[str]]:
        """Give rows, each with the folder of its label file below the data, paths of their images.

        Returns the rows whose image was found, the names of the others, and notes.
        """
        found: dict[tuple[str, str, str], tuple[str | None, bool]] = {}
        keyed = [(row, (row.image, folder, row.split)) for row, folder in rows]
        for _, key in keyed:
            if key not in found:
                found[key] = self.find(*key)
        # A file may have two names (a.jpg, ./a.jpg), but not if folders were ignored for one.
        names: dict[str | None, set[str]] = defaultdict(set)
        for (name, _, _), (path, _) in found.items():
            names[path].add(name)
        guessed = {key[0]: path for key, (path, ignored) in found.items() if path and ignored}
        unclear = {name for name, path in guessed.items() if len(names[path]) > 1}
        kept, missing = [], []
        for row, key in keyed:
            path = found[key][0]
            if path is None or row.image in unclear:
                missing.append(row.image)
            else:
                kept.append(row._replace(image=path))
        notes = []
        if unclear:
            name = min(unclear)
            other = min(names[guessed[name]] - {name})
            notes.append(
                f'{counted(len(unclear), "image")} left out, because others have the same file '
                f'name: {printable(name)} and {printable(other)} could both be '
                f'{printable(guessed[name])}'
            )
        if clear := sorted(guessed.keys() - unclear):
            notes.append(
                f'{counted(len(clear), "image")} found by the end of the name, such as '
                f'{printable(clear[0])}: {printable(guessed[clear[0]])}'
            )
        return kept, missing, notes

    def describe_missing(self, missing: Sequence[str]) -> str:
        """Return a sentence with the number of missing images, an example, and a near name."""
        near, stem = near_name(self.data, missing), posixpath.basename(missing[0])
        longer = next((p for p in self.paths if posixpath.basename(p).startswith(f'{stem}_')), '')
        if longer and not near:  # a file a channel, <id>_red.png
            near = f' ({printable(longer)} has a longer name)'
        several = sum(
            len(self._by_end(1).get(posixpath.basename(name), ())) > 1 for name in missing
        )
        hint = f'; {several:,} with the file name of several images' if several else ''
        return (
            f'{counted(len(missing), "row names", "rows name")} images that are not below '
            f'{self.data}, first: {printable(missing[0])}{near}{hint}'
        )


def _readings(name: str) -> list[str]:
    """Return ways to read a name: as it is, as an address, with backslashes and percent codes."""
    name = name.strip()
    if address := _ADDRESS.match(name):
        name = name[address.end() :].partition('?')[0]
    elif '?d=' in name:  # Label Studio's local files: /data/local-files/?d=folder/a.jpg
        name = name.partition('?d=')[2]
    ways = (name, name.replace('\\', '/'), unquote(name), unquote(name).replace('\\', '/'))
    return list(dict.fromkeys(ways))


def _choose(paths: Sequence[str], folder: str, split: str) -> str | None:
    """Return the only path, or the only one in a folder of the split, or below a folder."""
    if len(paths) > _MOST_ALIKE:
        return None
    of_split = [path for path in paths if split and split in _splits_of_folders(path)]
    below = [path for path in paths if folder and path.startswith(folder + '/')]
    return next((chosen[0] for chosen in (paths, of_split, below) if len(chosen) == 1), None)


def _splits_of_folders(path: str) -> list[str]:
    return [split_in_name(name)[0] for name in path.split('/')[:-1]]


def has_image_suffix(name: str) -> bool:
    """Whether a name or an address ends as that of an image."""
    return posixpath.splitext(name.strip().partition('?')[0])[1].lower() in image_suffixes()
