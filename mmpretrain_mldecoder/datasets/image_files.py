"""Finding of image files, under names that are nearly right, too, and reading of them."""

import logging
import os
import os.path as osp
import re
import stat
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import unquote

from mmengine import fileio
from mmengine.logging import print_log

from ..errors import UnreadableImageError
from ..fileio.near_names import DIFFERENCES, difference, plain_name
from ..fileio.terminal import counted, printable
from .image_header import image_suffixes


def _without_suffix(name: str) -> str:
    stem, suffix = osp.splitext(name)
    return stem if suffix in image_suffixes() else name


# In what the name of a file may differ from that on the disk.
_DIFFERENCES = {
    'percent codes': unquote,
    'backslashes': lambda name: name.replace('\\', '/'),
    **{what: change for what, change in DIFFERENCES.items() if 'underscores' not in what},
    'suffix': _without_suffix,
}
_ADDRESS = re.compile(r'[a-z][a-z0-9+.-]*://[^/]*/?', re.IGNORECASE)
_MOST_TRIED = 100  # of the missing files, until one has a near name
_MOST_FOLDERS = 20


class _Folder:
    """The names in a folder ('': the working directory) and those below it, each listed once."""

    def __init__(self, folder: str | os.PathLike):
        self._folder = folder
        self._names: dict[str, set[str]] = {}
        self._plain: dict[str, dict[str, list[str]]] = {}

    def names(self, head: str = '') -> set[str]:
        if head not in self._names:
            path = osp.join(self._folder, head) or '.'
            self._names[head] = set(os.listdir(path)) if osp.isdir(path) else set()
        return self._names[head]

    def __contains__(self, name: str) -> bool:
        head, tail = osp.split(name)
        return tail in self.names(head)

    def alike(self, head: str, name: str) -> list[str]:
        """Return the names in a folder below that are this one, else those that look like it."""
        if name in self.names(head):
            return [name]
        if head not in self._plain:
            self._plain[head] = {}
            for each in sorted(self.names(head)):
                self._plain[head].setdefault(plain_name(each, _DIFFERENCES), []).append(each)
        return self._plain[head].get(plain_name(name, _DIFFERENCES), [])


def missing_files(folder: str | os.PathLike, names: Iterable[str]) -> list[str]:
    """Return the names without a file below ``folder`` ('': the working directory), in order.

    Each folder is listed once, which takes seconds where a look per file takes minutes.
    """
    present = _Folder(folder)
    directly = present.names()  # the usual case, without splitting the name
    return [name for name in names if name not in directly and name not in present]


def decoded_names(
    folder: str | os.PathLike, missing: Sequence[str], source: str
) -> tuple[dict[str, str], list[str]]:
    """Read names with backslashes as slashes, and those with percent codes without, or both.

    A name of :func:`missing_files` is decoded where one file below the folder results. One line of
    the log counts them; it says in which ``source`` they are written. Returns the file of each
    decoded name, and the other names.
    """
    present, decoded = _Folder(folder), {}
    for name in missing:
        slashed = name.replace('\\', '/')
        readings = {slashed, unquote(name), unquote(slashed), unquote(name).replace('\\', '/')}
        there = [
            reading
            for reading in readings - {name}
            if '..' not in reading.split('/') and not osp.isabs(reading) and reading in present
        ]
        if len(there) == 1:
            decoded[name] = there[0]
    if decoded:
        name, file = next(iter(decoded.items()))
        print_log(
            f'{source}: {counted(len(decoded), "file name")} with backslashes or percent codes '
            f'decoded, the first, {printable(name)}, to {printable(file)}',
            'current',
            logging.WARNING,
        )
    return decoded, [name for name in missing if name not in decoded]


def find_files(
    folder: str | os.PathLike, names: Sequence[str], source: str, fix: str = ''
) -> dict[str, str]:
    """Return the file of each name that is written otherwise, see :func:`decoded_names`.

    Raises:
        FileNotFoundError: If others are missing, with ``fix``; without one they may be.
    """
    decoded, missing = decoded_names(folder, missing_files(folder, names), source)
    if missing and fix:
        near = near_name(folder, missing)
        raise FileNotFoundError(
            f'{len(missing)} of {len(names)} images of {source} are not in {folder}'
            f'{"" if osp.isdir(folder) else ", which is no folder"}, first: '
            f'{printable(missing[0])}{near}. '
            f'{"Correct the names, or complete" if near else "Complete"} the folder, or {fix}.'
        )
    return decoded


def near_name(folder: str | os.PathLike, missing: Sequence[str]) -> str:
    """Return ``'; near: A (differs in upper and lower case)'`` for the first name that has one.

    Found are files below the folder whose names differ from a missing one in what is easily
    overlooked, or in folders, a root or an address in front. '' if there are none.
    """
    return _near_name(_Folder(folder), missing[:_MOST_TRIED])


def _near_name(present: _Folder, missing: Sequence[str]) -> str:
    for name in missing:
        if not name.strip():
            return '; the name is empty'
        address = _ADDRESS.match(name)
        rest = name[address.end() :].partition('?')[0] if address else name
        rest = re.sub(r'(^|/)(\./|/)+', r'\1', rest)
        parts = [part for part in re.split(r'[\\/]', unquote(rest)) if part not in ('', '.')]
        parts = parts[-_MOST_FOLDERS:]
        for front in range(len(parts)):
            found = ['']
            for part in parts[front:]:
                found = [osp.join(head, n) for head in found for n in present.alike(head, part)]
            if found:
                other = '/'.join((*parts[:front], found[0]))
                ways = ['the address'] if address else ['folders in front'] if front else []
                ways += filter(None, [difference(rest, other, _DIFFERENCES)])
                differs = f' (differs in {" and ".join(ways)})' if ways else ''
                return f'; near: {" or ".join(map(printable, found[:3]))}{differs}'
    return ''


@lru_cache(maxsize=16)
def _listed(folder: str, changed: float) -> _Folder:
    return _Folder(folder)


def _near_path(path: str) -> str:
    folder, name = osp.split(path)
    try:
        return _near_name(_listed(folder, os.stat(folder or '.').st_mtime), [name])
    except (OSError, ValueError):
        return ''


def read_image_file(path: str, backend_args: dict | None = None) -> bytes:
    """Read a file as MMEngine does, but not one that may never end.

    An annotation file can name anything: a device such as ``/dev/zero`` would fill the memory, and
    reading a pipe waits for its writer.

    Raises:
        UnreadableImageError: If the file is missing (``code='missing'``), cannot be read, or is
            a device, a pipe or a socket.
    """
    if may_never_end(path):
        raise UnreadableImageError(path, 'a device, a pipe or a socket, not a file')
    try:
        return fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        reason = f'No such file or directory{_near_path(path)}'
        raise UnreadableImageError(path, reason, 'missing') from error
    except OSError as error:
        raise UnreadableImageError(path, error.strerror or str(error)) from error
    except ValueError as error:  # a NUL byte in the path
        raise UnreadableImageError(path, str(error)) from error


def may_never_end(path: str | os.PathLike) -> bool:
    """Whether a path leads to a device, a pipe or a socket."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False  # not there, or in another kind of store: the backend knows
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
