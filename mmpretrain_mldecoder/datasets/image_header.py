"""Image headers: format, size, depth, orientation and completeness, read without decoding."""

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

_ORIENTATION = 0x0112  # tags of EXIF and TIFF
_BITS_PER_SAMPLE = 0x0102
_ALPHA_MODES = ('RGBA', 'RGBa', 'LA', 'La', 'PA')
_PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_ALPHA = (4, 6)  # colour types with an alpha channel

_JPEG_START = b'\xff\xd8'
_JPEG_END = b'\xff\xd9'
# The markers that a frame starts with, SOF0 to SOF15; DHT, JPG and DAC lie between them.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


class ImageHeader(NamedTuple):
    """What the header of an image says."""

    format: str  # Pillow's name, such as 'JPEG'
    size: tuple[int, int]  # height and width as stored, in pixels
    bits: int = 8  # per channel
    transparent: bool = False  # whether it has transparent parts, or could have
    mode: str = ''  # Pillow's, such as 'RGB'
    orientation: int = 1  # by EXIF, 1 (upright) to 8; from 5 on, height and width change places


def read_image_header(content: bytes, in_full: bool = True) -> ImageHeader | None:
    """Read the header of an image, None if Pillow knows no such image.

    Without ``in_full`` that of JPEG and PNG has no mode and orientation, and takes microseconds.

    Raises:
        PIL.Image.DecompressionBombError: If Pillow is asked, and the pixels exceed its limit.
    """
    if not in_full and content.startswith(_JPEG_START):
        size = jpeg_size(content)
        return size and ImageHeader('JPEG', size)
    is_png = content.startswith(_PNG_START) and content[12:16] == b'IHDR' and len(content) > 25
    if not in_full and is_png:
        width, height, bits, color_type = struct.unpack_from('>IIBB', content, 16)
        return ImageHeader('PNG', (height, width), bits, color_type in _PNG_ALPHA)
    try:
        with Image.open(io.BytesIO(content)) as image:
            return ImageHeader(
                format=image.format or '',
                size=(image.height, image.width),
                bits=_bits(image, content),
                transparent=image.mode in _ALPHA_MODES or 'transparency' in image.info,
                mode=image.mode,
                orientation=_orientation(image),
            )
    except Image.DecompressionBombError:
        raise
    except Exception:  # each format has its own
        return None


def _bits(image: Image.Image, content: bytes) -> int:
    if image.format == 'PNG':
        return content[24]  # of the first chunk, which is always the header
    if image.format == 'TIFF':
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,)))
    if image.mode.startswith('I;16'):
        return 16
    if image.mode == 'I':  # of a PPM, which states its highest level
        return 16 if image.format == 'PPM' else 32
    return 32 if image.mode == 'F' else 8


def _orientation(image: Image.Image) -> int:
    """Return that of EXIF; 1 where EXIF is corrupt, which does not concern the pixels."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as above
        return 1


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return height and width as a JPEG's frame header states them, as stored; None without one."""
    for marker, at in _jpeg_markers(content):
        if marker in _FRAME_MARKERS and at + 9 <= len(content):
            return struct.unpack_from('>HH', content, at + 5)
    return None


def is_complete(content: bytes) -> bool:
    """Return False if a JPEG or a PNG ends before its end marker; True for other formats.

    A JPEG's end marker is searched behind the start of its first scan, so that neither the end
    of a thumbnail in its EXIF data nor zeros behind a truncated file (an interrupted download into
    reserved space) are taken for the end. What follows the end marker does not matter.
    """
    if content.startswith(_PNG_START[:4]):
        return content.rfind(b'IEND') >= 0
    if not content.startswith(_JPEG_START):
        return True
    for marker, at in _jpeg_markers(content):
        if marker == _START_OF_SCAN:
            # within a scan 0xff is always followed by 0x00 or by a marker
            return content.rfind(_JPEG_END, at) >= 0
    return False


def _jpeg_markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the position of its 0xff, up to the start of the first scan.

    Bytes that do not belong between two segments are skipped, as libjpeg does.
    """
    if not content.startswith(_JPEG_START):
        return
    at = 2
    while (at := content.find(b'\xff', at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        if marker in (0xFF, 0x00):  # padding before a marker, or no marker
            at += 1
            continue
        yield marker, at
        if marker == _START_OF_SCAN:
            return
        at += 2
        if marker not in _WITHOUT_LENGTH:
            at += struct.unpack_from('>H', content, at)[0]
