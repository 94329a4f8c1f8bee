"""The rules by which images are decoded or refused, and many damaged images of many formats."""

import io
import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from faulty_images import encoded, photo, png_claiming
from PIL import Image, PngImagePlugin

from mmpretrain_mldecoder.analysis.browse.image_check import ImageChecker
from mmpretrain_mldecoder.analysis.report.images import read_thumbnail
from mmpretrain_mldecoder.datasets import image_header
from mmpretrain_mldecoder.datasets.decode_image import MAX_PIXELS, decode_image, image_to_bgr
from mmpretrain_mldecoder.errors import UnreadableImageError

FORMATS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF', 'PPM')


def decode(content: bytes, **options) -> np.ndarray:
    return decode_image('folder/image', content, **options)


def deep(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0].astype(np.uint16) * 257


def test_a_drawing_in_its_transparency_is_refused_and_a_plain_one_is_not():
    pixels = np.zeros((60, 80, 4), np.uint8)
    assert decode(encoded(pixels, 'PNG')).max() == 0
    pixels[20:40, 20:40, 3] = 255
    two = Image.fromarray(pixels[..., 3] // 255).convert('P')
    two.putpalette([0, 0, 0] * 2)
    in_palette = io.BytesIO()
    two.save(in_palette, 'PNG', transparency=b'\0\xff')
    contents = [encoded(pixels, format) for format in ('PNG', 'TIFF', 'TGA')]
    for content in (*contents, in_palette.getvalue()):
        for read in (decode, lambda c: image_to_bgr(Image.open(io.BytesIO(c)))):
            with pytest.raises(UnreadableImageError, match='one flat colour but for its transp'):
                read(content)
    with pytest.raises(UnreadableImageError, match='cannot read image in memory: one flat colour'):
        image_to_bgr(pixels)
    assert decode(encoded(np.zeros((60, 80), np.uint16), 'PNG')).max() == 0  # black is a colour


@pytest.mark.parametrize('format', [*FORMATS, 'progressive'])
def test_truncated_files_are_refused(format):
    options = dict(progressive=True) if format == 'progressive' else dict(format=format)
    content = encoded(photo(0), **options)
    for part in (0.3, 0.6, 0.95):
        with pytest.raises(UnreadableImageError, match=r'cannot read image folder/image: .+'):
            decode(content[: int(len(content) * part)])


# OpenCV makes a black image of a PFM without an error
PFM = b'Pf\n80 60\n-1.0\n' + np.random.default_rng(0).random((60, 80), np.float32).tobytes()
TWELVE_BITS = (
    b'\xff\xd8\xff\xc1\0\x11\x0c' + bytes((0, 60, 0, 80, 3)) + bytes(9) + b'\xff\xda' + bytes(9)
    + b'\xff\xd9'
)  # fmt: skip
HUGE_BMP = (
    b'BM' + (54).to_bytes(4, 'little') + bytes(4) + (54).to_bytes(4, 'little')
    + (40).to_bytes(4, 'little') + (20_000).to_bytes(4, 'little') * 2 + b'\1\0\x18\0' + bytes(24)
)  # fmt: skip


@pytest.mark.parametrize(
    'content, code, message',
    [
        (b'', 'unreadable', 'the file is empty'),
        (b'<html>not found</html>', 'unreadable', '.*it is a web page'),
        (b'v/1\x01' + bytes(90), 'unreadable', '.*it is OpenEXR: save it as PNG'),
        (TWELVE_BITS, 'unreadable', 'JPEG of a kind that is not read'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'unreadable', '.*git lfs pull'),
        (b'any', 'unreadable', 'no image in it'),
        (b'\xff\xd8\xff', 'truncated', 'it ends after 3 bytes'),
        (encoded(photo(0))[:900] + bytes(4096), 'truncated', 'it ends after 4,996 bytes'),
        (png_claiming(20_000, 20_000), 'too_large', r'20,000 x 20,000 pixels, more than max_pix'),
        (HUGE_BMP, 'too_large', r'.*exceeds limit|.*max_pixels'),
        (encoded(np.float32(photo(0)[..., 0]), 'TIFF'), 'unreadable', '32 bits a channel'),
        (PFM, 'unreadable', '32 bits a channel'),
        (encoded(deep(photo(0)) // 16, 'PNG'), 'blank', 'only the lower 12 of its 16 bits'),
    ],
    ids=lambda value: 'content' if isinstance(value, bytes) else None,
)
def test_refusals_have_path_code_and_reason(content, code, message):
    with pytest.raises(
        UnreadableImageError, match=f'cannot read image folder/image: ({message})'
    ) as error:
        decode(content)
    assert error.value.code == code and error.value.path == 'folder/image'
    if code == 'blank' or '32 bits' in message:  # what is no matter of files
        with pytest.raises(UnreadableImageError, match=message):
            image_to_bgr(Image.open(io.BytesIO(content)))


def test_the_limit_is_that_of_pillow():
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS  # Pillow warns at half of what it refuses


def test_a_segment_of_rubbish_in_a_jpeg_is_skipped():
    content = encoded(photo(0))
    behind_the_first = 4 + int.from_bytes(content[4:6], 'big')
    filled = content[:behind_the_first] + b'rubbish' + content[behind_the_first:]
    np.testing.assert_array_equal(decode(filled), decode(content))


# Of the modes that a format has, those that take another way through a decoder.
FUZZED = {
    'JPEG': ('RGB', 'CMYK', 'L'),
    'PNG': ('RGBA', 'P', 'I;16', '1'),
    'WEBP': ('RGB', 'RGBA'),
    'TIFF': ('RGB', 'RGBA', 'I;16', 'F', 'CMYK', '1'),
    'GIF': ('P',),
    'BMP': ('RGB', 'P'),
    'AVIF': ('RGB', 'RGBA'),
    'DDS': ('RGBA',),
}


def noise(kind: str, mode: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    if mode == 'I;16':
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
    else:
        image = Image.fromarray(pixels).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **(dict(compression='tiff_lzw') if mode == 'I;16' else {}))
    return buffer.getvalue()


def damaged(content: bytes, seeded: random.Random) -> bytes:
    content = bytearray(content)
    for _ in range(seeded.choice((0, 1, 2, 5, 20))):
        # headers are short, and where decoders differ
        end = min(len(content), seeded.choice((30, 200, len(content))))
        content[seeded.randrange(end)] = seeded.choice((0, 255, seeded.randrange(256)))
    if seeded.random() < 0.2:
        del content[seeded.randrange(len(content)) :]
    return bytes(content)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', FUZZED)
def test_damaged_images_raise_no_other_error(kind, tmp_path):
    if kind not in Image.registered_extensions().values():
        pytest.skip(f'this Pillow has no {kind}')
    seeded = random.Random(kind)
    images = [noise(kind, mode) for mode in FUZZED[kind]]
    whole, quick = ImageChecker(), ImageChecker(quick=True)
    path = str(tmp_path / 'a.jpg')
    for _ in range(60):
        content = damaged(seeded.choice(images), seeded)
        (tmp_path / 'a.jpg').write_bytes(content)
        for backend in ('cv2', 'pillow'):
            try:
                assert decode_image(path, content, backend=backend).dtype == np.uint8
            except UnreadableImageError as error:
                assert error.reason
        for checker in (whole, quick):
            assert checker.check((path, (24, 32))).faults is not None
        assert read_thumbnail(path) is None or read_thumbnail(path).startswith('data:')


@pytest.mark.parametrize(
    ('content', 'package'),
    [
        (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(40), 'pillow-heif'),
        (b'\0\0\0\x18ftypmif1\0\0\0\0mif1heic' + bytes(40), 'pillow-heif'),
        (b'\0\0\0\x1cftypmif1\0\0\0\0mif1avif' + bytes(40), 'pillow-avif-plugin'),
        (b'\xff\x0a' + bytes(40), 'pillow-jxl-plugin'),
    ],
)
def test_the_package_that_reads_a_format_is_named(monkeypatch, content, package):
    known = {'.jpg': 'JPEG'}  # as where no such package is installed
    monkeypatch.setattr(image_header, 'image_suffixes', lambda: known)
    with pytest.raises(UnreadableImageError, match=f'pip install {package}'):
        decode(content)


def test_a_package_that_adds_a_format_is_used(monkeypatch):
    """A stand-in that writes PNGs in a box; the real ones register themselves alike."""
    plain = encoded(photo(0), 'PNG')

    class InABox(PngImagePlugin.PngImageFile):
        format = 'HEIF'

        def _open(self):
            self.fp.seek(24)
            self.fp = io.BytesIO(self.fp.read())
            super()._open()

    def register():
        Image.register_open('HEIF', InABox, lambda start: start[4:12] == b'ftypheic')
        Image.register_extension('HEIF', '.heic')

    monkeypatch.setitem(sys.modules, 'pillow_heif', SimpleNamespace(register_heif_opener=register))
    before = dict(Image.OPEN), dict(Image.EXTENSION), list(Image.ID)
    image_header.image_suffixes.cache_clear()
    try:
        assert image_header.image_suffixes()['.heic'] == 'HEIF'
        box = b'\0\0\0\x18ftypheic\0\0\0\0mif1heic'
        np.testing.assert_array_equal(decode(box + plain)[..., ::-1], photo(0))
    finally:
        image_header.image_suffixes.cache_clear()
        Image.OPEN.clear(), Image.EXTENSION.clear()
        Image.OPEN.update(before[0]), Image.EXTENSION.update(before[1])
        Image.ID[:] = before[2]


def test_no_other_program_is_started(monkeypatch):
    """Pillow hands drawings and pages to Ghostscript."""
    monkeypatch.setattr(subprocess, 'Popen', lambda *args, **kwargs: pytest.fail('started'))
    page = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n'
    for backend in ('cv2', 'pillow'):
        with pytest.raises(UnreadableImageError, match='no image in it'):
            decode(page, backend=backend)
