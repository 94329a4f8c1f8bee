"""Damaged images of many formats are decoded or refused by our error, and nothing else."""

import io
import random

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmpretrain_mldecoder.analysis.browse.image_check import ImageChecker
from mmpretrain_mldecoder.analysis.report.images import read_thumbnail
from mmpretrain_mldecoder.datasets.decode_image import decode_image
from mmpretrain_mldecoder.errors import UnreadableImageError

# Of the modes that a format has, those that take another way through a decoder.
FORMATS = {
    'JPEG': ('RGB', 'CMYK', 'L'),
    'PNG': ('RGBA', 'P', 'I;16', '1'),
    'WEBP': ('RGB', 'RGBA'),
    'TIFF': ('RGB', 'RGBA', 'I;16', 'F', 'CMYK', '1'),
    'GIF': ('P',),
    'BMP': ('RGB', 'P'),
    'AVIF': ('RGB', 'RGBA'),
    'DDS': ('RGBA',),
}


def encoded(kind: str, mode: str) -> bytes:
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
@pytest.mark.parametrize('kind', FORMATS)
def test_no_other_error(kind, tmp_path):
    if kind not in Image.registered_extensions().values():
        pytest.skip(f'this Pillow has no {kind}')
    seeded = random.Random(kind)
    images = [encoded(kind, mode) for mode in FORMATS[kind]]
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
    with pytest.raises(
        UnreadableImageError, match=r'a\.tif: TIFF, which the loader \(cv2\) cannot'
    ):
        decode_image('a.tif', content)
