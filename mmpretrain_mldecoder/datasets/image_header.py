"""Image headers: size, orientation and completeness, read without decoding."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

_ORIENTATION = 0x0112  # tags of EXIF and TIFF
_BITS_PER_SAMPLE = 0x0102
_GREY_MODES = ('1', 'L', 'LA', 'La', 'I', 'F')
_ALPHA_MODES = ('RGBA', 'RGBa', 'LA', 'La', 'PA')
# The markers of a JPEG that a frame starts with, SOF0 to SOF15; DHT, JPG and DAC lie between them.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_ALPHA = (4, 6)  # colour types with a channel of it


class Fault(NamedTuple):
    """One thing found in an image: a code (see ``apis.finding_words``) and what exactly."""

    code: str
    detail: str


@dataclass(frozen=True)
class ImageHeader:
    """What Pillow reads of it.

    Attributes:
        format: Such as ``'JPEG'``.
        mode: Pillow's, such as ``'RGB'``.
        size: Height and width as stored, in pixels.
        orientation: By EXIF, from 1 (upright) to 8; from 5 on, height and width change places.
        bits: A channel.
        transparent: Whether it has transparent parts, or could have.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int
    bits: int
    transparent: bool

    @classmethod
    def read(cls, content: bytes) -> 'ImageHeader | None':
        """Read it, or return None if Pillow knows no such image.

        Raises:
            PIL.Image.DecompressionBombError: If there are more pixels than Pillow's limit.
        """
        try:
            with Image.open(io.BytesIO(content)) as image:
                bits = 8
                if image.format == 'PNG':
                    bits = content[24]  # of the first chunk, which is always the header
                elif image.format == 'TIFF':
                    bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (bits,)))
                elif image.mode.startswith('I;16'):
                    bits = 16
                elif image.mode == 'I':  # of a PPM, which states its highest level
                    bits = 16 if image.format == 'PPM' else 32
                elif image.mode == 'F':
                    bits = 32
                return cls(
                    format=image.format or '',
                    mode=image.mode,
                    size=(image.height, image.width),
                    orientation=_orientation(image),
                    bits=bits,
                    transparent=image.mode in _ALPHA_MODES or 'transparency' in image.info,
                )
        except Image.DecompressionBombError:
            raise
        except Exception:  # each format has its own
            return None

    def faults(self) -> list[Fault]:
        """List what is unusual."""
        kind = f'{self.format} {self.mode}'
        found = {
            'greyscale': self.mode.split(';')[0] in _GREY_MODES,
            'cmyk': self.mode == 'CMYK',
            'palette': self.mode in ('P', 'PA'),
            'alpha': self.transparent,
        }
        faults = [Fault(code, kind) for code, is_found in found.items() if is_found]
        if self.bits > 8:
            faults.append(Fault('deep', f'{self.format}, {self.bits} bits a channel'))
        if self.orientation in range(2, 9):
            faults.append(Fault('rotated', f'orientation {self.orientation}'))
        return faults


def _orientation(image: Image.Image) -> int:
    """Return that of EXIF; 1 where this is broken, which does not touch the image."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as above
        return 1


class ImageSize(NamedTuple):
    """What a decoder is about to meet.

    Attributes:
        height: In pixels, as stored.
        width: In pixels, as stored.
        bits: A channel.
        transparent: Whether it has transparent parts, or could have.
        format: Pillow's name.
        orientation: By EXIF, from 1 (upright) to 8; 1 also of JPEG and PNG, where nobody asks.
    """

    height: int
    width: int
    bits: int = 8
    transparent: bool = False
    format: str = ''
    orientation: int = 1


def read_image_size(content: bytes) -> ImageSize | None:
    """Read it at the cost of microseconds for JPEG and PNG; None if Pillow knows no such image.

    Raises:
        PIL.Image.DecompressionBombError: If the pixels of another format exceed Pillow's limit.
    """
    if content.startswith(b'\xff\xd8'):
        size = jpeg_size(content)
        return size and ImageSize(*size, format='JPEG')
    if content.startswith(_PNG_START) and content[12:16] == b'IHDR' and len(content) > 25:
        width, height, bits, color_type = struct.unpack_from('>IIBB', content, 16)
        return ImageSize(height, width, bits, color_type in _PNG_ALPHA, 'PNG')
    header = ImageHeader.read(content)
    if header is None:
        return None
    return ImageSize(
        *header.size, header.bits, header.transparent, header.format, header.orientation
    )


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return height and width as a JPEG's frame header states them, None if there is none.

    The EXIF orientation is not applied.
    """
    for marker, at in jpeg_markers(content):
        if marker in _FRAME_MARKERS and at + 9 <= len(content):
            return struct.unpack_from('>HH', content, at + 5)
    return None


START_OF_SCAN = 0xDA
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


def jpeg_markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the place of its 0xff, up to the start of the first scan.

    Bytes that do not belong between two segments are passed over, as libjpeg does. Nothing is
    yielded for what is no JPEG.

    Args:
        content (bytes): The whole file, or its beginning.
    """
    if not content.startswith(b'\xff\xd8'):
        return
    at = 2
    while (at := content.find(b'\xff', at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        if marker in (0xFF, 0x00):  # padding before a marker, or no marker
            at += 1
            continue
        yield marker, at
        if marker == START_OF_SCAN:
            return
        at += 2
        if marker not in _WITHOUT_LENGTH:
            at += struct.unpack_from('>H', content, at)[0]


def is_whole_image(content: bytes) -> bool:
    """Return False if a JPEG or a PNG ends before its end marker; True for other formats.

    A JPEG's end marker is looked for behind the start of its first scan, so that neither the end
    of a thumbnail in its EXIF data nor zeros behind half a file (an interrupted download into
    reserved space) are taken for the end. What follows the end marker does not matter.

    Args:
        content (bytes): The whole file.
    """
    if content.startswith(b'\x89PNG'):
        return content.rfind(b'IEND') >= 0
    if not content.startswith(b'\xff\xd8'):
        return True
    for marker, at in jpeg_markers(content):
        if marker == START_OF_SCAN:
            # within a scan 0xff is always followed by 0x00 or by a marker
            return content.rfind(b'\xff\xd9', at) >= 0
    return False
