"""Image decoding: one set of rules for everything that reads images.

Files arrive as bytes (:func:`~.image_files.read_image_file`), are checked by their header and
decoded here, as are images in memory, so that training, evaluation and prediction give the same
pixels and refuse the same images. ``examples/onnx_predict.py`` repeats the rules with Pillow.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import UnreadableImageError
from ..fileio.files import stand_in
from ..fileio.terminal import one_line
from .image_header import (
    ImageHeader,
    has_transparency,
    open_image,
    other_kind,
    package_for,
    read_image_header,
    read_orientation,
)

MAX_PIXELS = 178_956_970
"""Pixels of the largest image that is decoded: the limit from which on Pillow raises."""

_USED_BITS = 4  # of the upper 8, so many have to be used of an image with 16 bits
# Formats that OpenCV decodes to Pillow's pixels, and faster. Of others it shows transparent parts
# black, ignores the orientation, or reads another image or other levels; or it cannot read them.
_BY_OPENCV = ('JPEG', 'PNG', 'WEBP', 'BMP')
# What the loader calls its colours, and the same without OpenCV's idea of the orientation.
_UPRIGHT = dict(color='color_ignore_orientation', grayscale='grayscale_ignore_orientation')
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION,
    4: cv2.IMREAD_REDUCED_COLOR_4 | cv2.IMREAD_IGNORE_ORIENTATION,
    2: cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION,
}
# (mirrored, turned) for each orientation that is not upright
_TURNS = {
    2: (True, None),
    3: (False, cv2.ROTATE_180),
    4: (True, cv2.ROTATE_180),
    5: (True, cv2.ROTATE_90_COUNTERCLOCKWISE),
    6: (False, cv2.ROTATE_90_CLOCKWISE),
    7: (True, cv2.ROTATE_90_CLOCKWISE),
    8: (False, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def decode_image(
    path: str,
    content: bytes,
    color_type: str = 'color',
    backend: str = 'cv2',
    max_pixels: int = MAX_PIXELS,
    min_side: int | None = None,
) -> np.ndarray:
    """Decode a file; the pixels of ordinary ones are those of ``mmcv.imfrombytes``.

    ====================== =====================================================================
    CMYK, YCCK             turned into colours without their ICC profile
    palette, grey, 1 bit   looked up; three equal channels
    transparency           dropped: what it hid is seen. Refused where only the transparency
                           varies: the rest would be one flat colour
    16 bits                the upper 8. Refused where only the lower 12 are used: it would be all
                           but black
    32 bits                refused
    orientation            turned upright, by EXIF wherever a format has it, else by XMP
    several images         the first
    other formats          by Pillow, if it can
    ====================== =====================================================================

    These are the rules of ``color_type`` ``'color'`` and ``'grayscale'``; others are left to the
    decoder, as is all that ``'tifffile'`` reads.

    A JPEG that is damaged inside its data is decoded: what is behind the damage is wrong, and
    only libjpeg's message tells. ``tools/dataset_tools/browse.py`` finds such files.

    Args:
        path (str): Where it is from, for the error.
        content (bytes): The whole file.
        color_type (str): As in the loader. Defaults to ``'color'``.
        backend (str): The decoder, as in ``mmcv.imfrombytes``. Defaults to ``'cv2'``.
        max_pixels (int): Height times width that may not be exceeded. Defaults to ``MAX_PIXELS``.
        min_side (int, optional): With it, OpenCV decodes a colour JPEG at the smallest of 1/2, 1/4
            and 1/8 of its size at which both sides keep so many pixels. Defaults to None.

    Raises:
        UnreadableImageError: As :func:`check_header`, if the decoder fails, or in the cases above.
    """
    header = check_header(path, content, backend, max_pixels)
    is_usual = backend in ('cv2', None)
    has_rules = backend != 'tifffile' and color_type in _UPRIGHT
    try:
        pixels = None
        if not has_rules or backend == 'turbojpeg':
            pixels = mmcv.imfrombytes(content, flag=color_type, backend=backend)
        elif is_usual and header.format in _BY_OPENCV:
            flag = _UPRIGHT[color_type]
            if min_side and header.format == 'JPEG':
                fitting = (n for n in _REDUCED if min(header.size) >= n * min_side)
                flag = _REDUCED.get(next(fitting, 1), flag)
            pixels = mmcv.imfrombytes(content, flag=flag, backend='cv2')
        if not has_rules:
            if pixels is None:
                raise UnreadableImageError(path, f'{header.format}, which {backend} cannot read')
            return pixels
        if pixels is not None:
            pixels = _turned(pixels, header.orientation)
            if header.transparent:
                _refuse_flat(path, pixels, lambda: _alpha(content))
        else:
            with open_image(content) as image:
                pixels = image_to_bgr(image, path)
            if color_type == 'grayscale':
                pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        if header.bits > 8:
            _refuse_black(path, pixels, lambda: _unchanged(path, content))
    except (MemoryError, UnreadableImageError):
        raise
    except UnidentifiedImageError as error:
        reason = f'{header.format} of a kind that is not read: save it again, with 8 bits a channel'
        raise UnreadableImageError(path, reason) from error
    except Exception as error:  # each decoder has its own
        code = 'truncated' if isinstance(error, OSError) else 'unreadable'
        raise UnreadableImageError(path, one_line(error), code) from error
    return pixels


def image_to_bgr(image: np.ndarray | Image.Image, path: str | None = None) -> np.ndarray:
    """Turn an image in memory into BGR ``uint8``, ``(H, W, 3)``, as :func:`decode_image` its file.

    It is one of Pillow, or a ``uint8`` array: BGR, BGRA or grey ``(H, W)``. ``path`` is for the
    error, by default that of the file that Pillow opened.

    Raises:
        UnreadableImageError: As for a file, but for its size.
    """
    path = path or getattr(image, 'filename', '') or 'in memory'
    if isinstance(image, np.ndarray):
        if image.ndim == 2:
            return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        pixels = np.ascontiguousarray(image[..., :3])
        if image.shape[2] == 4:
            _refuse_flat(path, pixels, lambda: image[..., 3])
        return pixels
    if (pixels := _deep_jpeg2000(image, path)) is not None:
        return pixels
    _load(image)
    if image.mode == 'F' or (image.mode == 'I' and image.format not in (None, 'PNG', 'PPM')):
        raise _too_deep(path, 32)
    if image.mode.startswith('I'):
        deep = np.asarray(image).clip(0, 65535)
        pixels = cv2.cvtColor((deep >> 8).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        _refuse_black(path, pixels, lambda: deep)
    else:
        colours = np.asarray(image.convert('RGBA' if has_transparency(image) else 'RGB'))
        pixels = np.ascontiguousarray(colours[..., 2::-1])
        if colours.shape[2] == 4:
            _refuse_flat(path, pixels, lambda: colours[..., 3])
    return _turned(pixels, read_orientation(image))


def check_header(
    path: str, content: bytes, backend: str = 'cv2', max_pixels: int = MAX_PIXELS
) -> ImageHeader | None:
    """Check a file without decoding it; the arguments are those of :func:`decode_image`.

    Returns:
        ImageHeader | None: Of JPEG and PNG without mode and orientation. None only for what
        ``'tifffile'`` alone may know, which is left to it.

    Raises:
        UnreadableImageError: If the file is empty, no image, truncated or too large, or has 32
            bits a channel.
    """
    if not content:
        raise UnreadableImageError(path, 'the file is empty')
    try:
        header = read_image_header(content, in_full=False)
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(path, str(error), 'too_large') from error
    if header is not None and not header.complete:
        raise UnreadableImageError(path, f'it ends after {len(content):,} bytes', 'truncated')
    if header is None:
        if backend == 'tifffile':
            return None
        if package := package_for(content):
            reason = f'Pillow needs a package for this format: pip install {package}'
        elif found := stand_in(content):
            reason = found
        elif kind := other_kind(content):
            reason = f'no image in it that is read, it is {kind}: save it as PNG or JPEG'
        else:
            reason = 'no image in it'
        raise UnreadableImageError(path, reason)
    height, width = header.size
    if height * width > max_pixels:
        raise UnreadableImageError(
            path, f'{width:,} x {height:,} pixels, more than max_pixels={max_pixels:,}', 'too_large'
        )
    if header.bits > 16 and backend != 'tifffile':
        raise _too_deep(path, header.bits)
    return header


def _load(image: Image.Image) -> None:
    """Load an image, which turns a TIFF; mapped into memory, Pillow 13 would scramble it."""
    name = getattr(image, 'filename', '')
    if image.format == 'TIFF':
        image.filename = ''  # maps nothing
    image.load()
    if name:
        image.filename = name


def _deep_jpeg2000(image: Image.Image, path: str) -> np.ndarray | None:
    """Decode a colour JPEG 2000 of more than 8 bits, whose brightest levels overflow in Pillow 13.

    None for all other images. One that Pillow has decoded is refused if it is that of a file; of
    one from memory the depth is not known any more.
    """
    if image.format != 'JPEG2000' or image.mode.startswith('I'):
        return None
    if image.tile:  # not decoded yet
        image.fp.seek(0)
        content = image.fp.read()
    else:
        name = getattr(image, 'filename', '')
        content = Path(name).read_bytes() if name and Path(name).is_file() else b''
    header = read_image_header(content)
    if header is None or header.bits <= 8:
        return None
    if not image.tile:
        raise UnreadableImageError(
            path, f'Pillow has decoded its {header.bits} bits a channel wrongly: give the path'
        )
    pixels = mmcv.imfrombytes(content, flag=_UPRIGHT['color'], backend='cv2')
    if pixels is None:
        raise UnreadableImageError(path, 'a JPEG 2000 that OpenCV cannot read')
    if header.transparent:
        _refuse_flat(path, pixels, lambda: _alpha(content))
    _refuse_black(path, pixels, lambda: _unchanged(path, content))
    return _turned(pixels, header.orientation)


def _too_deep(path: str, bits: int) -> UnreadableImageError:
    return UnreadableImageError(path, f'{bits} bits a channel: save it with 8 or 16')


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    is_mirrored, turn = _TURNS.get(orientation, (False, None))
    pixels = cv2.flip(pixels, 1) if is_mirrored else pixels
    return pixels if turn is None else cv2.rotate(pixels, turn)


def _refuse_black(path: str, pixels: np.ndarray, deep: Callable[[], np.ndarray]) -> None:
    """Raise if the upper 8 bits of an image show nothing, and the others do."""
    if pixels.max() < 1 << _USED_BITS and deep().max() > 0:
        raise UnreadableImageError(
            path,
            f'only the lower {16 - _USED_BITS} of its 16 bits a channel are used: in 8 bits it is '
            'all but black; stretch it',
            'blank',
        )


def _refuse_flat(path: str, pixels: np.ndarray, alpha: Callable[[], np.ndarray]) -> None:
    """Raise if an image has one colour, and shows what it shows by its transparency."""
    if (pixels.min((0, 1)) == pixels.max((0, 1))).all() and np.ptp(alpha()) > 0:
        raise UnreadableImageError(
            path, 'one flat colour but for its transparency: put it on a background', 'blank'
        )


def _alpha(content: bytes) -> np.ndarray:
    with open_image(content) as image:
        return np.asarray(image.convert('RGBA'))[..., 3]


def _unchanged(path: str, content: bytes) -> np.ndarray:
    """Decode all bits; of a damaged file OpenCV may manage 8 only."""
    pixels = mmcv.imfrombytes(content, flag='unchanged', backend='cv2')
    if pixels is None:
        raise UnreadableImageError(path, 'its 16 bits a channel cannot be decoded', 'truncated')
    return pixels
