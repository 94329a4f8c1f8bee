"""Finding of missing image files, and reading of those that are there."""

import os
import os.path as osp
import stat
from collections.abc import Iterable

from mmengine import fileio

from ..errors import UnreadableImageError


def missing_files(folder: str | os.PathLike, names: Iterable[str]) -> list[str]:
    """Return the names without a file below ``folder`` ('': the working directory), in order.

    Each folder is listed once, which takes seconds where a look per file takes minutes.
    """

    def listed(path: str) -> set[str]:
        return set(os.listdir(path or '.')) if osp.isdir(path or '.') else set()

    directly = listed(folder)
    present: dict[str, set[str]] = {}
    missing = []
    for name in names:
        if name in directly:  # the usual case, without splitting the name
            continue
        head, tail = osp.split(name)
        if head not in present:
            present[head] = listed(osp.join(folder, head))
        if tail not in present[head]:
            missing.append(name)
    return missing


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
        raise UnreadableImageError(path, 'No such file or directory', 'missing') from error
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
