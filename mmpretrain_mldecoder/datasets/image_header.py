"""Image headers: format, size, depth, orientation and completeness, read without decoding."""

import functools
import importlib
import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from PIL import Image

# Pillow's names of what is read. The others are drawings and pages, for some of which Pillow
# starts other programs, and films. TGA comes last: it has no signature.
_FORMATS = (
    'JPEG', 'MPO', 'PNG', 'WEBP', 'TIFF', 'GIF', 'BMP', 'DIB', 'PPM', 'AVIF', 'HEIF', 'JPEG2000',
    'JXL', 'QOI', 'ICO', 'PCX', 'PSD', 'SGI', 'DDS', 'TGA',
)  # fmt: skip
# Formats that a package adds to Pillow: to import, to install, and their endings.
_PLUGINS = {
    'HEIF': ('pillow_heif', 'pillow-heif', ('.heic', '.heics', '.heif', '.heifs', '.hif')),
    'AVIF': ('pillow_avif', 'pillow-avif-plugin', ('.avif', '.avifs')),
    'JXL': ('pillow_jxl', 'pillow-jxl-plugin', ('.jxl',)),
}
# First bytes of what people take for an image that is read.
_OTHERS = {
    b'v/1\x01': 'OpenEXR',
    b'#?R': 'Radiance HDR',
    b'P7\n': 'PAM',
    b'8B': 'Photoshop',
    b'%PDF': 'PDF',
    b'%!PS': 'PostScript',
    b'PK\3\4': 'a zip archive',
    b'<': 'a web page, SVG or other XML',
}

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
_APP1 = 0xE1  # EXIF and XMP
# The texts of a PNG that may hold an orientation, behind the kind of their chunk.
_PNG_METADATA = (
    *(kind + b'Raw profile type exif\0' for kind in (b'tEXt', b'zTXt', b'iTXt')),
    b'iTXtXML:com.adobe.xmp\0',
)
_J2K_SIZE, _J2K_DEPTH = b'\xff\x4f\xff\x51', 42  # start of a codestream, offset of its depth
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


@functools.cache
def image_suffixes() -> dict[str, str]:
    """Return the format of each ending that is read, such as ``{'.jpg': 'JPEG'}``; lower case.

    Formats that Pillow has from a package, such as HEIF, are among them where it is installed.
    """
    Image.init()
    for format, (module, _, _) in _PLUGINS.items():
        with suppress(ImportError):
            plugin = importlib.import_module(module)
            if format == 'HEIF':
                plugin.register_heif_opener()
    known = Image.registered_extensions().items()
    return {suffix: format for suffix, format in known if format in _FORMATS}


def package_for(suffix_or_content: str | bytes) -> str | None:
    """Return the package that would read a file of this ending or content; None if none would."""
    kind = suffix_or_content
    if isinstance(kind, bytes):
        box, brands = kind[4:8], kind[8:64]
        if kind.startswith((b'\xff\x0a', b'\0\0\0\x0cJXL ')):
            kind = '.jxl'
        elif box == b'ftyp' and (b'avif' in brands or b'avis' in brands):
            kind = '.avif'
        elif box == b'ftyp' and any(b in brands for b in (b'heic', b'heix', b'hevc', b'mif1')):
            kind = '.heic'
    found = (package for _, package, suffixes in _PLUGINS.values() if kind in suffixes)
    return None if kind in image_suffixes() else next(found, None)


def other_kind(content: bytes) -> str | None:
    """Return what a file is that is not read, such as ``'OpenEXR'``; None if that is not known."""
    found = (kind for start, kind in _OTHERS.items() if content[:99].lstrip().startswith(start))
    return next(found, None)


def open_image(content: bytes) -> Image.Image:
    """Open a file with Pillow, as one of the formats that are read."""
    image_suffixes()  # registers them
    return Image.open(io.BytesIO(content), formats=[f for f in _FORMATS if f in Image.OPEN])


class ImageHeader(NamedTuple):
    """What the header of an image says."""

    format: str  # Pillow's name, such as 'JPEG'; 'APNG' of a PNG that moves
    size: tuple[int, int]  # height and width as stored, in pixels
    bits: int = 8  # per channel
    transparent: bool = False  # whether it has transparent parts, or could have
    mode: str = ''  # Pillow's, such as 'RGB'
    orientation: int = 1  # 1 (upright) to 8; from 5 on, height and width change places
    complete: bool = True  # False if a JPEG or a PNG ends before its end marker


def read_image_header(content: bytes, in_full: bool = True) -> ImageHeader | None:
    """Read the header of an image, None if Pillow knows no such image.

    Without ``in_full`` that of JPEG and PNG has no mode, and takes microseconds.

    Raises:
        PIL.Image.DecompressionBombError: If Pillow is asked, and the pixels exceed its limit.
    """
    own = None
    if content.startswith((_JPEG_START, _PNG_START[:4])):
        own = (_jpeg_header if content.startswith(_JPEG_START) else _png_header)(content)
        if not in_full:
            return own
    try:
        with open_image(content) as image:
            transparent = has_transparency(image)
            if own is not None:
                return own._replace(mode=image.mode, transparent=transparent)
            return ImageHeader(
                format=image.format or '',
                size=(image.height, image.width),
                bits=_bits(image, content),
                transparent=transparent,
                mode=image.mode,
                orientation=read_orientation(image),
            )
    except Image.DecompressionBombError:
        raise
    except Exception:  # each format has its own
        return None


def _jpeg_header(content: bytes) -> ImageHeader:
    size, metadata, complete = (0, 0), b'', False
    for marker, at in _jpeg_markers(content):
        if marker in _FRAME_MARKERS and not any(size) and at + 9 <= len(content):
            size = struct.unpack_from('>HH', content, at + 5)
        elif marker == _APP1:
            metadata += content[at : at + 2 + struct.unpack_from('>H', content, at + 2)[0]]
        elif marker == _START_OF_SCAN:
            # Searched from here on, neither the end of a thumbnail in EXIF data nor zeros behind a
            # truncated file (a download into reserved space) are taken for it: within a scan 0xff
            # is always followed by 0x00 or by a marker. What follows the end does not matter.
            complete = content.rfind(_JPEG_END, at) >= 0
    orientation = _orientation_in(metadata, 'JPEG')
    return ImageHeader('JPEG', size, orientation=orientation, complete=complete)


def _png_header(content: bytes) -> ImageHeader:
    complete = content.rfind(b'IEND') >= 0
    if not content.startswith(_PNG_START) or content[12:16] != b'IHDR' or len(content) < 26:
        return ImageHeader('PNG', (0, 0), complete=complete)
    width, height, bits, color_type = struct.unpack_from('>IIBB', content, 16)
    format, transparent, metadata = 'PNG', color_type in _PNG_ALPHA, b''
    at = len(_PNG_START)
    while at + 8 <= len(content):
        kind, end = content[at + 4 : at + 8], at + 12 + struct.unpack_from('>I', content, at)[0]
        if kind == b'acTL':
            format = 'APNG'
        elif kind == b'tRNS':
            transparent = True
        elif kind == b'eXIf' or content.startswith(_PNG_METADATA, at + 4):
            metadata += content[at:end]
        at = end
    turn = _orientation_in(metadata, 'PNG')
    return ImageHeader(format, (height, width), bits, transparent, '', turn, complete)


@functools.cache
def _one_pixel(format: str) -> bytes:
    out = io.BytesIO()
    Image.new('L', (1, 1)).save(out, format)
    return out.getvalue()


def _orientation_in(metadata: bytes, format: str) -> int:
    """Return the orientation that Pillow reads out of an image with these segments or chunks."""
    if not metadata:
        return 1
    start = 2 if format == 'JPEG' else 33  # behind the start, and of a PNG its first chunk
    image = _one_pixel(format)
    try:
        with Image.open(io.BytesIO(image[:start] + metadata + image[start:])) as opened:
            return read_orientation(opened)
    except Exception:  # of corrupt metadata, which does not concern the pixels
        return 1


def has_transparency(image: Image.Image) -> bool:
    """Whether an image of Pillow's has transparent parts, or could have."""
    return image.mode in _ALPHA_MODES or 'transparency' in image.info


def _bits(image: Image.Image, content: bytes) -> int:
    if image.format == 'TIFF':
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,)))
    if image.format == 'JPEG2000' and (at := content.find(_J2K_SIZE)) >= 0:
        return max(8, (content[at + _J2K_DEPTH] & 0x7F) + 1)
    if image.mode.startswith('I;16'):
        return 16
    if image.mode == 'I':  # of a PPM, which states its highest level
        return 16 if image.format == 'PPM' else 32
    return 32 if image.mode == 'F' else 8


def read_orientation(image: Image.Image) -> int:
    """Return the orientation of an image of Pillow's, from 1 (upright) to 8.

    It stands in EXIF, where a PNG may have it in a raw profile, else in XMP. One that is out of
    range or corrupt is 1. Pillow turns a TIFF when it loads it; from then on it is 1.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that EXIF is corrupt
            value = image.getexif().get(_ORIENTATION, 1)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # each format has its own
        return 1


def _jpeg_markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the position of its 0xff, up to the start of the first scan.

    Bytes that do not belong between two segments are skipped, as libjpeg does.
    """
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
