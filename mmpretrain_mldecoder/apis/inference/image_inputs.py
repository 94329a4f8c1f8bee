"""Images of any kind of input, through the test pipeline of a config."""

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.logging import print_log
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from ...datasets.image_files import decoded_names, near_name
from ...datasets.image_search import describe_left_out, find_images, glob_images
from ...datasets.transforms import LoadWholeImage
from ...datasets.transforms.network_view import keep_whole, network_view
from ...errors import UnreadableImageError
from ...fileio.terminal import one_line

SingleImage = str | np.ndarray | Image.Image
ImageInputs = SingleImage | os.PathLike | Sequence

_ADDRESS = re.compile(r'[a-z][a-z0-9+.-]*://', re.IGNORECASE)


def expand_inputs(inputs: ImageInputs) -> list[SingleImage]:
    """List the images that ``inputs`` stands for, in a fixed order.

    Args:
        inputs: Any of these, or a list of them.

            - A file, with any suffix but ``.txt``.
            - A folder, searched recursively, or a glob (``**`` crosses folders): the files with the
              ending of an image, sorted by path; see :func:`.find_images`. The log says what was
              left out.
            - A list file, which ends in ``.txt``: one path per line, UTF-8, relative to the folder
              of the list. Empty lines and lines that begin with ``#`` are skipped (``./#1.jpg``
              names a file that begins so). The images may be missing.
            - A ``uint8`` array: BGR ``(H, W, 3)``, BGRA ``(H, W, 4)`` or grey ``(H, W)``.
            - A PIL image.

    Returns:
        list: Paths as strings, arrays and PIL images; a list keeps its order.

    Raises:
        FileNotFoundError: If a path does not exist, or a folder, a glob or a list file holds no
            image.
        ValueError: If an array is no image, or a path is an address, as nothing is downloaded.
        TypeError: If an element is none of the above.
    """
    left_out: Counter[str] = Counter()
    images = _expand(inputs, left_out)
    if left_out:
        print_log(describe_left_out(left_out), 'current', logging.WARNING)
    return images


def _expand(inputs: ImageInputs, left_out: Counter[str]) -> list[SingleImage]:
    if isinstance(inputs, (str, os.PathLike)):
        return _expand_path(os.fspath(inputs), left_out)
    if isinstance(inputs, np.ndarray):
        has_channels = inputs.ndim >= 2 and inputs.shape[2:] in ((), (3,), (4,))
        if inputs.dtype != np.uint8 or not has_channels:
            raise ValueError(
                'an array must be one image, uint8 of shape (H, W, 3) as BGR, (H, W, 4) as BGRA '
                f'or (H, W), but got {inputs.dtype} of shape {inputs.shape}; several images go '
                'in a list'
            )
    if isinstance(inputs, np.ndarray | Image.Image):
        return [inputs]
    if isinstance(inputs, Sequence):
        return [image for item in inputs for image in _expand(item, left_out)]
    raise TypeError(
        'inputs must be a path, a folder, a glob, a list file, a uint8 array, a PIL image or a '
        f'list of them, but got {type(inputs).__name__}'
    )


def _expand_path(path: str, left_out: Counter[str]) -> list[str]:
    _refuse_address(path, 'an input')
    path = os.path.expanduser(path)
    if os.path.isfile(path):
        return _read_list(Path(path)) if path.lower().endswith('.txt') else [path]
    if os.path.isdir(path):
        images, others = find_images(path)
    elif glob.has_magic(path):
        images, others = glob_images(path)
    else:
        near = near_name(os.path.dirname(path), [os.path.basename(path) or path])
        raise FileNotFoundError(f'no such image, folder, glob or list file: {path}{near}')
    if not images:
        why = describe_left_out(others) if others else 'nothing is there'
        raise FileNotFoundError(f'no image in {path}: {why}')
    left_out.update(others)
    return images


def _read_list(path: Path) -> list[str]:
    # Without the mark that editors on Windows put in front; a file name that is no UTF-8 comes
    # through as the system's own calls spell it.
    text = path.read_text(encoding='utf-8-sig', errors='surrogateescape')
    if '\0' in text:
        line = text[: text.index('\0')].count('\n') + 1
        raise ValueError(
            f'{path} is no list file: line {line} has a NUL byte, which no path has. Write one '
            'path per line, in UTF-8 (UTF-16 has such bytes).'
        )
    names = []
    for number, line in enumerate(text.split('\n'), 1):
        line = line.strip()
        if line and not line.startswith('#'):
            _refuse_address(line, f'line {number} of {path}')
            names.append(os.path.expanduser(line))
    if not names:
        raise FileNotFoundError(f'no image in {path}: a list file names one per line')
    coded = [name for name in names if '\\' in name or '%' in name]
    coded = [name for name in coded if not os.path.exists(path.parent / name)]
    decoded, _ = decoded_names(path.parent, coded, str(path))
    return [os.path.join(path.parent, decoded.get(name, name)) for name in names]


def _refuse_address(path: str, where: str) -> None:
    if _ADDRESS.match(path):
        raise ValueError(f'{where} is an address, {path}: download the image first')


class ImagePipeline:
    """Load or wrap an image, and apply what follows the loading in the test pipeline.

    Files and images in memory are read by the rules of :func:`decode_image`, also where the config,
    as older ones do, has the host's loader.
    """

    def __init__(self, pipeline: list[dict | Config]):
        transforms = [TRANSFORMS.build(transform) for transform in pipeline]
        loaders = [t for t in transforms if isinstance(t, LoadImageFromFile)]
        self._loader = _whole(loaders[0]) if loaders else LoadWholeImage()
        self._wrapper = LoadWholeImage(self._loader.to_float32, self._loader.color_type)
        self._transforms = [t for t in transforms if t not in loaders]
        self._keeps_whole = keep_whole(self._transforms)

    def __call__(self, image: SingleImage) -> dict:
        """Return what the pipeline packs; its data sample also knows ``ori_shape``.

        A file that cannot be read is an :class:`UnreadableImageError`.
        """
        results = self._load(image)
        height_and_width = results['img'].shape[:2]
        for transform in self._transforms:
            results = transform(results)
        results['data_samples'].set_metainfo(dict(ori_shape=height_and_width))
        return results

    def seen(self, packed: dict) -> np.ndarray:
        """Return what the network sees of a packed image, see :func:`.network_view`."""
        photo_shape = packed['data_samples'].ori_shape if self._keeps_whole else None
        return network_view(packed['inputs'], photo_shape)

    def for_drawing(self, image: SingleImage) -> np.ndarray:
        """Return an image as it is loaded, for drawing: BGR ``uint8``, ``(H, W, 3)``."""
        pixels = self._load(image)['img'].clip(0, 255).astype(np.uint8)
        return pixels if pixels.shape[2:] == (3,) else cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)

    def _load(self, image: SingleImage) -> dict:
        if not isinstance(image, str):
            return self._wrapper(dict(img=image))
        try:
            results = self._loader(dict(img_path=image))
        except UnreadableImageError:
            raise
        except Exception as error:  # of a loader of somebody else's
            raise UnreadableImageError(image, one_line(error)) from error
        if results is None:  # with ignore_empty
            raise UnreadableImageError(image, 'no image that can be decoded')
        return results


def _whole(loader: LoadImageFromFile) -> LoadImageFromFile:
    """Return our loader in place of the host's; it gives the same pixels or raises."""
    if type(loader) is not LoadImageFromFile or loader.file_client_args is not None:
        return loader
    names = ('to_float32', 'color_type', 'imdecode_backend', 'ignore_empty', 'backend_args')
    return LoadWholeImage(**{name: getattr(loader, name) for name in names})
