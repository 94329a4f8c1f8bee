"""A small dataset in which each image but some has one fault, of known kind."""

import io
import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def photo(seed: int, height: int = 60, width: int = 80) -> np.ndarray:
    """A smooth image (H, W, 3) uint8 RGB, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(pixels: np.ndarray, format: str = 'JPEG', mode: str | None = None, **options) -> bytes:
    image = Image.fromarray(pixels)
    out = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(out, format, **options)
    return out.getvalue()


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def png_of(height: int, width: int, data: bytes) -> bytes:
    """A PNG that says it has so many pixels, 8-bit RGB, with whatever compressed data."""
    png = b'\x89PNG\r\n\x1a\n'
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    for kind, content in ((b'IHDR', header), (b'IDAT', data), (b'IEND', b'')):
        png += struct.pack('>I', len(content)) + kind + content
        png += struct.pack('>I', zlib.crc32(kind + content))
    return png


def png_claiming(height: int, width: int) -> bytes:
    """One of a few bytes, without the pixels that it claims."""
    return png_of(height, width, zlib.compress(bytes(1000)))


def faulty_files() -> dict[str, tuple[bytes | None, set[str]]]:
    """Map file names to contents and the codes of what is to be found; None is no file."""
    whole = encoded(photo(5), quality=95)
    damaged = bytearray(encoded(photo(6), quality=95))
    middle = len(damaged) * 3 // 4
    damaged[middle : middle + 8] = b'\xff\xd5' * 4  # restart markers that do not belong there
    deep = photo(12)[..., 0].astype(np.uint16) * 256
    colours = photo(13).astype(np.uint16) * 256
    only_transparency = np.zeros((60, 80, 4), np.uint8)
    only_transparency[20:40, 20:50, 3] = 255
    see_through = np.dstack([photo(14), np.full((60, 80), 128, np.uint8)])
    return {
        'plain.jpg': (encoded(photo(0)), set()),
        'plain.png': (encoded(photo(1), 'PNG'), set()),
        'progressive.jpg': (encoded(photo(2), progressive=True), set()),
        'with_more_behind.jpg': (encoded(photo(3)) + b'and a comment', set()),
        'upright.jpg': (encoded(photo(4), exif=orientation(1)), set()),
        'half.jpg': (whole[: len(whole) // 2], {'truncated'}),
        'filled_up.jpg': (whole[: len(whole) * 9 // 10] + bytes(4096), {'truncated'}),
        'half.png': (encoded(photo(7), 'PNG')[:900], {'truncated'}),
        'damaged.jpg': (bytes(damaged), {'damaged'}),
        'empty.jpg': (b'', {'unreadable'}),
        'text.jpg': (b'<html>not found</html>', {'unreadable'}),
        'absent.jpg': (None, {'missing'}),
        'grey.jpg': (encoded(photo(8), mode='L'), {'greyscale'}),
        'grey.png': (encoded(photo(9), 'PNG', 'L'), {'greyscale'}),
        'grey_in_colour.jpg': (encoded(np.repeat(photo(10)[..., :1], 3, 2)), {'greyscale'}),
        'cmyk.jpg': (encoded(photo(11), mode='CMYK'), {'cmyk'}),
        'deep_grey.png': (encoded(deep, 'PNG'), {'deep', 'greyscale'}),
        'deep.png': (cv2.imencode('.png', colours)[1].tobytes(), {'deep'}),
        'palette.png': (encoded(photo(15), 'PNG', 'P'), {'palette'}),
        'alpha.png': (encoded(see_through, 'PNG'), {'alpha'}),
        'dim.png': (encoded(deep // 16, 'PNG'), {'blank'}),
        'only_transparency.png': (encoded(only_transparency, 'PNG'), {'blank'}),
        'huge.png': (png_claiming(20_000, 20_000), {'too_large'}),
        'turned.jpg': (encoded(photo(16), exif=orientation(6)), {'rotated'}),
        'other_size.jpg': (encoded(photo(17, 90, 120)), {'other_size'}),
    }


def write_dataset(
    root: Path, splits: dict[str, dict[str, bytes | None]], labels: dict[str, list[int]]
) -> Path:
    """Write images and COCO annotations: by default every image has label 0, of two."""
    (root / 'annotations').mkdir(parents=True)
    for split, files in splits.items():
        (root / f'{split}2017').mkdir()
        annotations = []
        for i, (name, content) in enumerate(files.items()):
            if content is not None:
                (root / f'{split}2017' / name).write_bytes(content)
            for label in labels.get(name, [0]):
                annotation = dict(id=len(annotations), image_id=i, category_id=label, area=9)
                annotations.append(annotation)
        images = [dict(id=i, file_name=n, height=60, width=80) for i, n in enumerate(files)]
        categories = [dict(id=0, name='thing'), dict(id=1, name='other')]
        content = dict(images=images, annotations=annotations, categories=categories)
        path = root / f'annotations/instances_{split}2017.json'
        path.write_text(json.dumps(content))
    return root
