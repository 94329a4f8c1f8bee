"""Images of every format, mode, depth and orientation that people bring, made when asked for."""

import io
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from faulty_images import encoded, orientation, photo
from PIL import Image

PIXELS = photo(3)
GREY = PIXELS[..., 1]
RAMP = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (60, 1))
DEEP = PIXELS.astype(np.uint16) * 256 + 77
OTHER = Image.fromarray(photo(5))

MODES = {
    'JPEG': ('RGB', 'L', 'CMYK'),
    'PNG': ('RGB', 'L', 'P', '1', 'RGBA', 'LA'),
    'WEBP': ('RGB', 'RGBA'),
    'TIFF': ('RGB', 'L', 'P', '1', 'RGBA', 'LA', 'PA', 'CMYK', 'YCbCr'),
    'BMP': ('RGB', 'L', 'P', '1', 'RGBA'),
    'GIF': ('P', 'L', 'RGBA'),
    'PPM': ('RGB', 'L', '1'),
    'AVIF': ('RGB', 'L', 'RGBA'),
    'JPEG2000': ('RGB', 'L', 'RGBA', 'LA', 'YCbCr'),
    'TGA': ('RGB', 'L', 'P', 'RGBA', 'LA'),
    'PCX': ('RGB', 'L', 'P'),
    'SGI': ('RGB', 'L', 'RGBA'),
    'QOI': ('RGB', 'RGBA'),
    'ICO': ('RGB', 'RGBA'),
    'MPO': ('RGB',),
}


def writable(format: str) -> bool:
    Image.init()
    return format in Image.SAVE


def source(mode: str) -> Image.Image:
    image = Image.fromarray(PIXELS)
    if 'A' in mode:
        image.putalpha(Image.fromarray(RAMP))
    return image.convert(mode)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack('>I', len(content)) + kind + content
        + struct.pack('>I', zlib.crc32(kind + content))
    )  # fmt: skip


def png(color_type: int, bits: int, rows: np.ndarray) -> bytes:
    """A PNG from the bytes of its rows."""
    header = struct.pack('>IIBBBBB', 80, 60, bits, color_type, 0, 0, 0)
    data = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
    chunks = {b'IHDR': header, b'IDAT': data, b'IEND': b''}.items()
    return b'\x89PNG\r\n\x1a\n' + b''.join(png_chunk(*chunk) for chunk in chunks)


def by_opencv(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def kinds() -> Iterator[tuple[str, bytes]]:
    """Names and contents; all show :data:`PIXELS` or their green as grey, but for transparency."""
    for format, modes in MODES.items():
        for mode in modes if writable(format) else ():
            options = dict(lossless=True, exact=True) if format == 'WEBP' else {}
            options |= dict(quality=95) if format in ('JPEG', 'MPO') else {}
            yield f'{format} {mode}', _saved(source(mode), format, **options)
    image = source('RGB')
    yield 'JPEG progressive', _saved(image, 'JPEG', progressive=True)
    yield 'JPEG YCCK', ycck()
    for bits in (1, 2, 4):
        levels = GREY >> (8 - bits)
        parts = [levels[:, i :: 8 // bits] << (8 - bits * (i + 1)) for i in range(8 // bits)]
        yield f'PNG grey of {bits} bits', png(0, bits, np.bitwise_or.reduce(parts))
        few = image.quantize(1 << bits)
        yield f'PNG palette of {bits} bits', _saved(few, 'PNG', bits=bits)
    few = image.quantize(16)
    yield (
        'PNG palette with transparency',
        _saved(few, 'PNG', transparency=bytes([0, 128]) + b'\xff'),
    )
    yield 'PNG grey with transparency', _saved(source('L'), 'PNG', transparency=100)
    yield 'PNG colour with transparency', _saved(image, 'PNG', transparency=(1, 2, 3))
    yield 'GIF with transparency', _saved(few, 'GIF', transparency=3)
    for name in ('PNG', 'TIFF', 'PPM'):
        yield f'{name} I;16', _saved(Image.fromarray(DEEP[..., 1]), name)
    yield 'PNG LA of 16 bits', png(4, 16, DEEP[..., :2].astype('>u2').reshape(60, -1))
    alpha = DEEP[..., :1]
    for suffix in ('.png', '.tiff', '.jp2'):
        yield f'{suffix} of 16 bits', by_opencv(suffix, DEEP)
    yield '.ppm of 16 bits', by_opencv('.ppm', DEEP)
    for suffix in ('.png', '.tiff'):
        yield f'{suffix} of 16 bits and alpha', by_opencv(suffix, np.dstack([DEEP, alpha]))
    yield 'PPM as text', b'P3\n80 60\n255\n' + b' '.join(b'%d' % v for v in PIXELS.ravel())
    yield 'PPM of 100 levels', b'P6\n80 60\n100\n' + (PIXELS // 2.55).astype(np.uint8).tobytes()
    levels = (GREY.astype(np.uint16) * 16 + 8).astype('>u2')
    yield 'PGM of 4095 levels', b'P5\n80 60\n4095\n' + levels.tobytes()
    for compression in ('tiff_lzw', 'tiff_adobe_deflate', 'packbits', 'jpeg'):
        yield f'TIFF {compression}', _saved(image, 'TIFF', compression=compression)
    yield 'TIFF group4', _saved(source('1'), 'TIFF', compression='group4')
    yield 'TIFF white is 0', _saved(source('L'), 'TIFF', tiffinfo={262: 0})
    yield 'TIFF premultiplied', _saved(source('RGBA'), 'TIFF', tiffinfo={338: 1})
    several = dict(save_all=True, append_images=[OTHER])
    for name in ('PNG', 'GIF', 'TIFF', 'WEBP', 'AVIF', 'MPO'):
        if writable(name):
            yield f'{name} of two images', _saved(image, name, **several)
    yield (
        'PNG that moves after its image',
        _saved(image, 'PNG', save_all=True, default_image=True, append_images=[OTHER, OTHER]),
    )


def ycck() -> bytes:
    """A JPEG of four channels, with Adobe's mark that three of them are YCC."""
    content = _saved(source('CMYK'), 'JPEG', quality=95)
    at = content.index(b'Adobe')
    return content[: at + 11] + b'\2' + content[at + 12 :]


def _saved(image: Image.Image, format: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def exif(value: int, order: str = '<', kind: int = 3) -> bytes:
    """EXIF data with the orientation as SHORT (3) or LONG (4)."""
    start = b'II*\0' if order == '<' else b'MM\0*'
    entry = struct.pack(
        order + ('HH' if kind == 3 else 'I'), *((value, 0) if kind == 3 else (value,))
    )
    return start + struct.pack(order + 'IHHHI', 8, 1, 0x112, kind, 1) + entry + bytes(4)


def in_jpeg(*segments: bytes) -> bytes:
    content = encoded(PIXELS, quality=95)
    added = b''.join(b'\xff\xe1' + struct.pack('>H', len(s) + 2) + s for s in segments)
    return content[:2] + added + content[2:]


def in_png(kind: bytes, content: bytes, late: bool = False) -> bytes:
    plain = encoded(PIXELS, 'PNG')
    at = plain.index(b'IEND' if late else b'IDAT') - 4
    return plain[:at] + png_chunk(kind, content) + plain[at:]


def xmp(value: int, as_element: bool = False) -> bytes:
    attribute, element = f'tiff:Orientation="{value}"', ''
    if as_element:
        attribute, element = '', f'<tiff:Orientation>{value}</tiff:Orientation>'
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'{attribute}>{element}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def turned(value: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of one image, each with an orientation in another place."""
    plain, start = exif(value), b'Exif\0\0'
    for order in '<>':
        for kind in (3, 4):
            yield f'JPEG EXIF {order}{kind}', in_jpeg(start + exif(value, order, kind))
            yield f'PNG EXIF {order}{kind}', in_png(b'eXIf', exif(value, order, kind))
    yield 'JPEG EXIF with two headers', in_jpeg(start + start + plain)
    yield 'PNG EXIF with a header', in_png(b'eXIf', start + plain)
    yield 'PNG EXIF behind the pixels', in_png(b'eXIf', plain, late=True)
    raw = (start + plain).hex()
    raw = f'\nexif\n{len(raw) // 2:8d}\n{raw}\n'.encode()
    name = b'Raw profile type exif\0'
    yield 'PNG raw profile', in_png(b'tEXt', name + raw)
    yield 'PNG packed raw profile', in_png(b'zTXt', name + b'\0' + zlib.compress(raw))
    yield 'PNG raw profile behind', in_png(b'zTXt', name + b'\0' + zlib.compress(raw), late=True)
    for as_element in (False, True):
        text, how = xmp(value, as_element), 'element' if as_element else 'attribute'
        yield f'JPEG XMP {how}', in_jpeg(b'http://ns.adobe.com/xap/1.0/\0' + text)
        yield f'PNG XMP {how}', in_png(b'iTXt', b'XML:com.adobe.xmp\0\0\0\0\0' + text)
    packed = b'XML:com.adobe.xmp\0\1\0\0\0' + zlib.compress(xmp(value))
    yield 'PNG packed XMP', in_png(b'iTXt', packed)
    both = (start + exif(1), b'http://ns.adobe.com/xap/1.0/\0' + xmp(value))
    yield 'JPEG EXIF upright, XMP turned', in_jpeg(*both)
    image = Image.fromarray(PIXELS)
    for format in ('WEBP', 'TIFF', 'AVIF'):
        if writable(format):
            options = dict(lossless=True) if format == 'WEBP' else {}
            yield f'{format} EXIF', _saved(image, format, exif=orientation(value), **options)
    yield 'WEBP XMP', _saved(image, 'WEBP', lossless=True, xmp=xmp(value))
    for mode in ('L', '1', 'P', 'RGBA'):
        yield f'TIFF {mode}', _saved(source(mode), 'TIFF', tiffinfo={0x112: value})
    deep = Image.fromarray(DEEP[..., 1])
    yield 'TIFF I;16', _saved(deep, 'TIFF', tiffinfo={0x112: value})
