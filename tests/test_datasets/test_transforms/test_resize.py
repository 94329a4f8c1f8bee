"""The oracles are Pillow and PaddleClas' rule.

Pillow 13 takes the rows first for some tall images, which moves the intermediate rounding; so its
two passes are written out here, columns first, and one test compares with the plain call too.
"""

import math

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose, Resize
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from mmpretrain_mldecoder.datasets.transforms import (
    RandomCutout,
    ShortSideResize,
    SquareResize,
    TwoOpRandAugment,
)


def random_image(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized_by_pillow(img: np.ndarray, scale: int) -> np.ndarray:
    pillow = Image.fromarray(img)
    pillow = pillow.resize((scale, pillow.height), Image.Resampling.BILINEAR)
    return np.asarray(pillow.resize((scale, scale), Image.Resampling.BILINEAR))


@pytest.mark.parametrize('scale', [1, 7, 64, 224])
@pytest.mark.parametrize('size', [(1, 1), (1, 9), (9, 1), (64, 48), (97, 41), (60, 333), (301, 8)])
def test_equals_pillow_on_noise(size, scale):
    """Fixed-point weights of differing precision, rounded after each pass: 1 grey level a pass."""
    img = random_image(*size)
    out = SquareResize(scale)(dict(img=img))['img']
    apart = np.abs(out.astype(int) - resized_by_pillow(img, scale))
    assert out.shape == (scale, scale, 3) and out.dtype == np.uint8
    assert out.flags.c_contiguous and out.flags.writeable
    assert apart.max() <= 2
    assert apart.mean() < 0.1


def test_equals_pillow_on_photos(shared_data):
    for path in sorted((shared_data / 'coco_tiny' / 'val2017').glob('*.jpg'))[::8]:
        img = cv2.imread(str(path))
        for scale in (224, 448):
            out = SquareResize(scale)(dict(img=img))['img'].astype(int)
            assert np.abs(out - resized_by_pillow(img, scale)).max() <= 1
            assert np.abs(out - resized_by_pillow(img, scale)).mean() < 0.03
            # The plain call, with the axes in whatever order this Pillow takes them.
            plain = Image.fromarray(img).resize((scale, scale), Image.Resampling.BILINEAR)
            assert np.abs(out - plain).max() <= 1
            assert np.abs(out - plain).mean() < 0.25


@pytest.mark.parametrize('antialias', [False, True])
def test_keys_are_those_of_the_hosts_resize_and_pixels_without_antialias(antialias):
    results = dict(img=random_image(60, 50), img_shape=(60, 50), ori_shape=(60, 50))
    resize = TRANSFORMS.build(dict(type='SquareResize', scale=20, antialias=antialias))
    ours, host = resize(dict(results)), Resize(20)(dict(results))
    assert np.array_equal(ours.pop('img'), host.pop('img')) != antialias
    assert ours == host


def test_input_is_left_alone_and_flipped_input_is_taken():
    img = random_image(20, 20)
    before = img.copy()
    for scale, antialias in ((20, True), (9, True), (20, False), (9, False)):
        resize = SquareResize(scale, antialias)
        straight = resize(dict(img=img))['img']
        flipped = resize(dict(img=img[:, ::-1]))['img']
        np.testing.assert_allclose(flipped[:, ::-1].astype(int), straight.astype(int), atol=1)
        straight[:] = 0
        np.testing.assert_array_equal(img, before)


def cropped_by_the_rule(img: np.ndarray, short: int, crop: int) -> np.ndarray:
    height, width = img.shape[:2]
    factor = float(short) / min(height, width)
    img = cv2.resize(img, (round(width * factor), round(height * factor)))
    top, left = (math.floor((side - crop) / 2) for side in img.shape[:2])
    return img[top : top + crop, left : left + crop]


def cropped(img: np.ndarray, short: int, crop: int) -> np.ndarray:
    steps = [dict(type='ShortSideResize', scale=short), dict(type='CenterCrop', crop_size=crop)]
    return Compose([TRANSFORMS.build(step) for step in steps])(dict(img=img))['img']


@pytest.mark.parametrize(('short', 'crop'), [(256, 224), (320, 320)])
@pytest.mark.parametrize('portrait', [False, True])
def test_short_side_for_every_long_side(short, crop, portrait):
    """All remainders of the margin by 4, and both directions of the rounding."""
    rng = np.random.default_rng(0)
    for long in range(300, 340):
        img = rng.integers(0, 256, (300, long, 3), dtype=np.uint8)
        img = img.transpose(1, 0, 2) if portrait else img
        np.testing.assert_array_equal(
            cropped(img, short, crop), cropped_by_the_rule(img, short, crop)
        )


def test_keys_of_the_short_side():
    results = ShortSideResize(8)(dict(img=np.zeros((16, 27, 3), np.uint8)))
    assert results['img'].shape == (8, 14, 3)  # 13.5 is rounded to 14
    assert results['img_shape'] == (8, 14)


@pytest.mark.parametrize(
    ('transform', 'scale', 'message'),
    [
        *((SquareResize, scale, 'int of at least 1') for scale in (0, 2.0, (224, 224), None)),
        *((ShortSideResize, scale, 'an even int of at least 2') for scale in (0, 255, 256.0, -2)),
    ],
)
def test_scale_out_of_range(transform, scale, message):
    with pytest.raises(ValueError, match=message):
        transform(scale)


@pytest.mark.parametrize(
    'transform', [SquareResize(8), ShortSideResize(8), RandomCutout(8), TwoOpRandAugment()]
)
def test_other_images_are_refused(transform):
    images = [np.zeros(shape, np.uint8) for shape in ((4, 4), (4, 4, 1), (0, 4, 3))]
    for img in (*images, np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(ValueError, match=rf'{type(transform).__name__} takes .*a\.jpg\). Load'):
            transform(dict(img=img, img_path='a.jpg'))
