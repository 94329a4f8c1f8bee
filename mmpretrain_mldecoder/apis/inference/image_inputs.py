"""From what a user points at to a flat list of single pictures."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
LIST_SUFFIX = '.txt'

SingleImage = str | np.ndarray | Image.Image
ImageInputs = SingleImage | os.PathLike | Sequence

_ADDRESS = re.compile(r'[a-z][a-z0-9+.-]*://', re.IGNORECASE)


def expand_inputs(inputs: ImageInputs) -> list[SingleImage]:
    """List the pictures that ``inputs`` stands for, in a fixed order.

    Args:
        inputs: Any of these, or a list of them.

            - A file, with any suffix but ``.txt``.
            - A folder, searched recursively, or a glob (``**`` crosses folders): the files with an
              image's suffix (``IMAGE_SUFFIXES``, in either case), sorted by path.
            - A list file, which ends in ``.txt``: the path of one picture a line, relative to the
              folder of the list, UTF-8. Empty lines and lines that begin with ``#`` are left out
              (``./#1.jpg`` names a file that begins so). Whether the pictures exist is not looked
              at here.
            - A ``uint8`` array: BGR ``(H, W, 3)``, BGRA ``(H, W, 4)`` or grey ``(H, W)``.
            - A PIL image.

    Returns:
        list: Paths as strings, arrays and PIL images; a list keeps its order.

    Raises:
        FileNotFoundError: If a path does not exist, or a folder, a glob or a list file holds no
            picture.
        ValueError: If an array is no picture, or a path is an address (``https://``): nothing is
            downloaded.
        TypeError: If an element is none of the above.
    """
    if isinstance(inputs, (str, os.PathLike)):
        return _expand_path(os.fspath(inputs))
    if isinstance(inputs, np.ndarray):
        if inputs.dtype != np.uint8 or inputs.shape[2:] not in ((), (3,), (4,)) or inputs.ndim < 2:
            raise ValueError(
                'an array must be one picture, uint8 of shape (H, W, 3) as BGR, (H, W, 4) as BGRA '
                f'or (H, W), but got {inputs.dtype} of shape {inputs.shape}; several pictures go '
                'in a list'
            )
        return [inputs]
    if isinstance(inputs, Image.Image):
        return [inputs]
    if isinstance(inputs, Sequence):
        return [image for item in inputs for image in expand_inputs(item)]
    raise TypeError(
        'inputs must be a path, a folder, a glob, a list file, a uint8 array, a PIL image or a '
        f'list of them, but got {type(inputs).__name__}'
    )


def _expand_path(path: str) -> list[str]:
    """List the picture files behind one path, folder, glob or list file."""
    _refuse_address(path, 'an input')
    path = os.path.expanduser(path)
    if os.path.isfile(path):
        return _read_list(Path(path)) if path.lower().endswith(LIST_SUFFIX) else [path]
    if os.path.isdir(path):
        found = Path(path).rglob('*')
    elif glob.has_magic(path):
        found = map(Path, glob.glob(path, recursive=True))
    else:
        raise FileNotFoundError(f'no such image, folder, glob or list file: {path}')
    images = sorted(str(f) for f in found if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file())
    if not images:
        raise FileNotFoundError(f'no image in {path}: none ends in {", ".join(IMAGE_SUFFIXES)}')
    return images


def _read_list(path: Path) -> list[str]:
    """Read the paths of a list file."""
    # utf-8-sig leaves out the mark that editors on Windows put in front; a file name that is no
    # UTF-8 comes through as the system's own calls spell it.
    text = path.read_text(encoding='utf-8-sig', errors='surrogateescape')
    if '\0' in text:
        line = text[: text.index('\0')].count('\n') + 1
        raise ValueError(
            f'{path} is no list file: line {line} has a NUL byte, which no path has. Write one '
            'path a line, in UTF-8 (UTF-16 has such bytes).'
        )
    images = []
    for number, line in enumerate(text.split('\n'), 1):
        line = line.strip()
        if line and not line.startswith('#'):
            _refuse_address(line, f'line {number} of {path}')
            images.append(os.path.join(path.parent, os.path.expanduser(line)))
    if not images:
        raise FileNotFoundError(f'no image in {path}: a list file names one a line')
    return images


def _refuse_address(path: str, where: str) -> None:
    if _ADDRESS.match(path):
        raise ValueError(f'{where} is an address, {path}: download the picture first')
