"""The bytes of a picture's file, or an error that says why there are none."""

import os
import stat

from mmengine import fileio

from .unreadable_image import UnreadableImage


def read_picture_file(path: str, backend_args: dict | None = None) -> bytes:
    """Read a file as MMEngine does, but not one that may never end.

    An annotation file names what it likes: a device such as ``/dev/zero`` would fill the memory,
    and a pipe is waited for.

    Args:
        path (str): The file.
        backend_args (dict, optional): As in the loader. Defaults to None.

    Raises:
        UnreadableImage: If there is no such file (``code='missing'``), it cannot be read, or it is
            a device, a pipe or a socket.
    """
    try:
        if may_never_end(path):
            raise UnreadableImage(path, 'a device, a pipe or a socket, no file')
        return fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise UnreadableImage(path, 'No such file or directory', 'missing') from error
    except OSError as error:
        raise UnreadableImage(path, error.strerror or str(error)) from error
    except UnreadableImage:
        raise
    except ValueError as error:  # a NUL byte in the path
        raise UnreadableImage(path, str(error)) from error


def may_never_end(path: str | os.PathLike) -> bool:
    """Whether a path leads to a device, a pipe or a socket."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False  # not there, or in another kind of store: the backend knows
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
