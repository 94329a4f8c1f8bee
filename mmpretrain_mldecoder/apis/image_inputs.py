"""From what a user points at to a flat list of single pictures."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')

SingleImage = str | np.ndarray | Image.Image
ImageInputs = SingleImage | os.PathLike | Sequence


def expand_inputs(inputs: ImageInputs) -> list[SingleImage]:
    """List the pictures that ``inputs`` stands for, in a fixed order.

    Args:
        inputs: A file, a folder (searched recursively), a glob (``**`` crosses folders), a BGR
            ``uint8`` array ``(H, W, 3)``, a PIL image, or a list of any of these. Of a folder and
            a glob, the files with an image's suffix (``IMAGE_SUFFIXES``, in either case) are
            taken, sorted by path.

    Returns:
        list: Paths as strings, arrays and PIL images; a list keeps its order.

    Raises:
        FileNotFoundError: If a path does not exist, or a folder or a glob holds no picture.
        ValueError: If an array is not BGR ``uint8``.
        TypeError: If an element is none of the above.
    """
    if isinstance(inputs, (str, os.PathLike)):
        return _expand_path(os.fspath(inputs))
    if isinstance(inputs, np.ndarray):
        if inputs.dtype != np.uint8 or inputs.ndim != 3 or inputs.shape[2] != 3:
            raise ValueError(
                'an array must be one BGR picture, uint8 of shape (H, W, 3), but got '
                f'{inputs.dtype} of shape {inputs.shape}; several pictures go in a list'
            )
        return [inputs]
    if isinstance(inputs, Image.Image):
        return [inputs]
    if isinstance(inputs, Sequence):
        return [image for item in inputs for image in expand_inputs(item)]
    raise TypeError(
        'inputs must be a path, a folder, a glob, a BGR uint8 array, a PIL image or a list of '
        f'them, but got {type(inputs).__name__}'
    )


def _expand_path(path: str) -> list[str]:
    """List the picture files behind one path, folder or glob."""
    path = os.path.expanduser(path)
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        found = Path(path).rglob('*')
    elif glob.has_magic(path):
        found = map(Path, glob.glob(path, recursive=True))
    else:
        raise FileNotFoundError(f'no such image, folder or glob: {path}')
    images = sorted(str(f) for f in found if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file())
    if not images:
        raise FileNotFoundError(f'no image in {path}: none ends in {", ".join(IMAGE_SUFFIXES)}')
    return images
