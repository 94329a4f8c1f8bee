"""The rules by which images are decoded or refused, and many damaged images of many formats."""

import io
import random

import cv2
import mmcv
import numpy as np
import pytest
from faulty_images import encoded, orientation, photo, png_claiming
from PIL import Image, ImageOps

from mmpretrain_mldecoder.analysis.browse.image_check import ImageChecker
from mmpretrain_mldecoder.analysis.report.images import read_thumbnail
from mmpretrain_mldecoder.datasets.decode_image import MAX_PIXELS, decode_image
from mmpretrain_mldecoder.errors import UnreadableImageError

FORMATS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF', 'PPM')
LACKING = {'JPEG': ('P', '1'), 'WEBP': ('P', '1'), 'PPM': ('P',)}


def decode(content: bytes, **options) -> np.ndarray:
    return decode_image('folder/image', content, **options)


def by_pillow(content: bytes) -> np.ndarray:
    """Upright BGR."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    return np.asarray(image.convert('RGB'))[..., ::-1]


def deep(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0].astype(np.uint16) * 257


@pytest.mark.parametrize('format', FORMATS)
def test_modes_come_out_in_their_colours(format):
    modes = ['RGB', 'L', 'P', '1'] + ['CMYK'] * (format in ('JPEG', 'TIFF'))
    for mode in modes:
        if mode not in LACKING.get(format, ()):
            content = encoded(photo(0), format, mode)
            np.testing.assert_allclose(decode(content), by_pillow(content), atol=1)
    assert decode(encoded(np.full((1, 1, 3), 200, np.uint8), format)).shape == (1, 1, 3)


@pytest.mark.parametrize('format', ['PNG', 'WEBP'])
def test_transparency_is_dropped(format):
    pixels = np.dstack([photo(0), np.full((60, 80), 7, np.uint8)])
    options = dict(lossless=True, exact=True) if format == 'WEBP' else {}
    np.testing.assert_array_equal(decode(encoded(pixels, format, **options))[..., ::-1], photo(0))


def test_transparency_of_a_tiff_is_refused_unless_it_is_opaque():
    for alpha in (0, 7, 254):
        pixels = np.dstack([photo(0), np.full((60, 80), alpha, np.uint8)])
        with pytest.raises(UnreadableImageError, match='transparent parts of a TIFF black'):
            decode(encoded(pixels, 'TIFF'))
    opaque = np.dstack([photo(0), np.full((60, 80), 255, np.uint8)])
    np.testing.assert_array_equal(decode(encoded(opaque, 'TIFF'))[..., ::-1], photo(0))


def test_a_drawing_in_its_transparency_is_refused_and_a_plain_one_is_not():
    pixels = np.zeros((60, 80, 4), np.uint8)
    assert decode(encoded(pixels, 'PNG')).max() == 0
    pixels[20:40, 20:40, 3] = 255
    with pytest.raises(UnreadableImageError, match='one flat colour but for its transparency'):
        decode(encoded(pixels, 'PNG'))
    assert decode(encoded(np.zeros((60, 80), np.uint16), 'PNG')).max() == 0  # black is a colour


@pytest.mark.parametrize('format', ['PNG', 'TIFF'])
def test_of_16_bits_the_upper_8_are_kept(format):
    read = decode(encoded(deep(photo(0)), format))
    assert all(np.array_equal(read[..., c], photo(0)[..., 0]) for c in range(3))


@pytest.mark.parametrize('format', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
def test_exif_turns_upright(format):
    for value in range(1, 9):
        content = encoded(photo(0), format, exif=orientation(value))
        expected, read = by_pillow(content), decode(content)
        assert read.shape == expected.shape == ((80, 60, 3) if value > 4 else (60, 80, 3))
        # decoders of lossy WebP differ by a few levels; a wrong turn by far more
        np.testing.assert_allclose(read, expected, atol=6 if format == 'WEBP' else 1)


@pytest.mark.parametrize('format', [*FORMATS, 'progressive'])
def test_truncated_files_are_refused(format):
    options = dict(progressive=True) if format == 'progressive' else dict(format=format)
    content = encoded(photo(0), **options)
    for part in (0.3, 0.6, 0.95):
        with pytest.raises(UnreadableImageError, match=r'cannot read image folder/image: .+'):
            decode(content[: int(len(content) * part)])


# OpenCV makes a black image of a PFM without an error
PFM = b'Pf\n80 60\n-1.0\n' + np.random.default_rng(0).random((60, 80), np.float32).tobytes()
HUGE_BMP = (
    b'BM' + (54).to_bytes(4, 'little') + bytes(4) + (54).to_bytes(4, 'little')
    + (40).to_bytes(4, 'little') + (20_000).to_bytes(4, 'little') * 2 + b'\1\0\x18\0' + bytes(24)
)  # fmt: skip


@pytest.mark.parametrize(
    'content, code, message',
    [
        (b'', 'unreadable', 'the file is empty'),
        (b'<html>not found</html>', 'unreadable', 'no image in it'),
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


def test_max_pixels_is_the_largest_that_is_read():
    content = encoded(photo(0))
    assert decode(content, max_pixels=4800).shape == (60, 80, 3)
    with pytest.raises(UnreadableImageError, match='80 x 60 pixels, more than max_pixels=4,799'):
        decode(content, max_pixels=4799)
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


def test_decoder_that_fails_at_the_second_look(monkeypatch):
    """As OpenCV does with some damaged TIFFs: 8 bits can be had, all of them cannot."""
    content = cv2.imencode('.tiff', np.full((8, 8), 12, np.uint16))[1].tobytes()
    original = mmcv.imfrombytes
    monkeypatch.setattr(
        mmcv,
        'imfrombytes',
        lambda content, flag='color', **options: (
            None if flag == 'unchanged' else original(content, flag=flag, **options)
        ),
    )
    with pytest.raises(UnreadableImageError, match=r'a\.tif: TIFF, which the loader \(cv2\)'):
        decode_image('a.tif', content)
