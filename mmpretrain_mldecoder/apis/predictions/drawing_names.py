"""Where the drawings of a picture go: a file of its own, whatever other pictures there are."""

import os
from collections.abc import Iterable
from pathlib import Path

OUTSIDE = '_'
"""Folder of what lies outside the current folder."""


def drawing_name(path: str, suffix: str) -> Path:
    """Return the name of the drawing of a picture, relative to the folder of the drawings.

    It is the path of the picture as seen from the current folder, with ``suffix``: ``a/1.jpg`` and
    ``b/1.jpg`` have their own. The path of a picture outside the current folder follows ``_``.

    Args:
        path (str): Of the picture.
        suffix (str): Such as ``'.png'``; it is added unless the name ends in it already.
    """
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute)
    first = Path(relative).parts[0]
    if first in (os.pardir, OUTSIDE) or os.path.isabs(relative):
        relative = os.path.join(OUTSIDE, os.path.splitdrive(absolute)[1].lstrip(os.sep))
    return Path(relative if relative.endswith(suffix) else relative + suffix)


def check_names_differ(paths: Iterable[str], suffix: str) -> None:
    """Raise a ``ValueError`` if the drawings of two different files would have one name."""
    owners: dict[Path, str] = {}
    for path in paths:
        other = owners.setdefault(drawing_name(path, suffix), path)
        if os.path.abspath(other) != os.path.abspath(path):
            raise ValueError(
                f'the drawings of {other} and {path} would have the same name: predict them into '
                'different folders'
            )
