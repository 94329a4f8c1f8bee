"""Image decoding: one set of rules for everything that reads images.

Files arrive as bytes (:func:`~.image_files.read_image_file`), are checked by their header and
decoded here. A reader of another kind of image, such as an array or a PIL image, belongs here too,
so that training, evaluation and prediction refuse the same images.
"""

import io

import mmcv
import numpy as np
from PIL import Image

from ..errors import UnreadableImageError
from ..fileio.terminal import one_line
from .image_header import ImageHeader, is_complete, read_image_header

MAX_PIXELS = 178_956_970
"""Pixels of the largest image that is decoded: the limit from which on Pillow raises."""

_USED_BITS = 4  # of the upper 8, so many have to be used of an image with 16 bits


def decode_image(
    path: str,
    content: bytes,
    color_type: str | int = 'color',
    backend: str = 'cv2',
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Decode a file; the pixels are those of ``mmcv.imfrombytes``.

    ====================== =====================================================================
    CMYK, YCCK             turned into colours without their ICC profile
    palette, grey, 1 bit   looked up; three equal channels
    transparency           dropped: what it hid is seen. Refused where only the transparency
                           varies: the rest would be one flat colour; and in a TIFF, where
                           OpenCV makes it black
    16 bits                the upper 8. Refused where only the lower 12 are used: it would be all
                           but black
    EXIF orientation       turned upright (``color_type='color'`` or ``'grayscale'``)
    several images         the first
    ====================== =====================================================================

    A JPEG that is damaged inside its data is decoded: what is behind the damage is wrong, and
    only libjpeg's message tells. ``tools/dataset_tools/browse.py`` finds such files.

    Args:
        path (str): Where it is from, for the error.
        content (bytes): The whole file.
        color_type (str | int): As in the loader, or a flag of OpenCV. Defaults to ``'color'``.
        backend (str): The decoder, as in ``mmcv.imfrombytes``. Defaults to ``'cv2'``.
        max_pixels (int): Height times width that may not be exceeded. Defaults to ``MAX_PIXELS``.

    Raises:
        UnreadableImageError: As :func:`check_header`, if the decoder fails, or in the cases above.
    """
    header = check_header(path, content, backend, max_pixels)
    try:
        pixels = mmcv.imfrombytes(content, flag=color_type, backend=backend)
    except MemoryError:
        raise
    except Exception as error:  # each decoder has its own
        raise UnreadableImageError(path, one_line(error)) from error
    if pixels is None:
        raise _undecodable(path, content, backend)
    if header is not None and color_type != 'unchanged' and pixels.dtype == np.uint8:
        _refuse_blank(path, content, header, pixels)
    return pixels


def check_header(
    path: str, content: bytes, backend: str = 'cv2', max_pixels: int = MAX_PIXELS
) -> ImageHeader | None:
    """Check a file without decoding it; the arguments are those of :func:`decode_image`.

    Returns:
        ImageHeader | None: Of JPEG and PNG without mode and orientation. None only for what
        ``'tifffile'`` alone may know, which is left to it.

    Raises:
        UnreadableImageError: If the file is empty, no image, truncated or too large, if it has 32
            bits a channel, or its orientation is one that the decoder does not follow.
    """
    if not content:
        raise UnreadableImageError(path, 'the file is empty')
    if not is_complete(content):
        raise UnreadableImageError(path, f'it ends after {len(content):,} bytes', 'truncated')
    try:
        header = read_image_header(content, in_full=False)
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(path, str(error), 'too_large') from error
    if header is None:
        if backend == 'tifffile':
            return None
        raise UnreadableImageError(path, 'no image in it')
    height, width = header.size
    if height * width > max_pixels:
        raise UnreadableImageError(
            path, f'{width:,} x {height:,} pixels, more than max_pixels={max_pixels:,}', 'too_large'
        )
    if backend in ('cv2', None):
        if header.bits > 16:
            raise UnreadableImageError(path, f'{header.bits} bits a channel: save it with 8 or 16')
        if header.format == 'AVIF' and header.orientation > 1:
            raise UnreadableImageError(
                path, 'OpenCV does not turn an AVIF upright: save it upright'
            )
    return header


def _undecodable(path: str, content: bytes, backend: str) -> UnreadableImageError:
    """Return Pillow's error if it cannot decode the file either."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            kind = image.format
            image.load()
    except Exception as error:  # each format has its own
        return UnreadableImageError(path, one_line(error), 'truncated')
    return UnreadableImageError(path, f'{kind}, which the loader ({backend}) cannot read')


def _refuse_blank(path: str, content: bytes, header: ImageHeader, pixels: np.ndarray) -> None:
    """Raise if 8 bits a channel without transparency leave nothing of an image."""
    is_black = header.bits > 8 and pixels.max() < 1 << _USED_BITS
    if is_black and _unchanged(path, content).max() > 0:
        raise UnreadableImageError(
            path,
            f'only the lower {16 - _USED_BITS} of its 16 bits a channel are used: in 8 bits it is '
            'all but black; stretch it',
            'blank',
        )
    if header.transparent and header.format == 'TIFF':
        complete = _unchanged(path, content)
        if complete.shape[2:] == (4,) and complete[..., 3].min() < np.iinfo(complete.dtype).max:
            raise UnreadableImageError(
                path, 'OpenCV makes the transparent parts of a TIFF black: save it without', 'blank'
            )
    elif header.transparent and (pixels.min((0, 1)) == pixels.max((0, 1))).all():
        complete = _unchanged(path, content)
        if complete.shape[2:] == (4,) and complete[..., 3].min() < complete[..., 3].max():
            raise UnreadableImageError(
                path, 'one flat colour but for its transparency: put it on a background', 'blank'
            )


def _unchanged(path: str, content: bytes) -> np.ndarray:
    """Decode all bits and channels; of a damaged file OpenCV may manage 8 bits only."""
    pixels = mmcv.imfrombytes(content, flag='unchanged', backend='cv2')
    if pixels is None:
        raise _undecodable(path, content, 'cv2')
    return pixels
