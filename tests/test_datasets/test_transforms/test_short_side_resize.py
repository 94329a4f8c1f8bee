"""The oracle is PaddleClas' rule, written out: round the sides, crop from half the margin down."""

import math

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmpretrain.registry import TRANSFORMS

from mmpretrain_mldecoder.datasets.transforms import ShortSideResize


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
def test_pixels_for_every_long_side(short, crop, portrait):
    """All remainders of the margin by 4, and both directions of the rounding."""
    rng = np.random.default_rng(0)
    for long in range(300, 340):
        img = rng.integers(0, 256, (300, long, 3), dtype=np.uint8)
        img = img.transpose(1, 0, 2) if portrait else img
        np.testing.assert_array_equal(
            cropped(img, short, crop), cropped_by_the_rule(img, short, crop)
        )


@pytest.mark.parametrize(('short', 'crop'), [(256, 224), (320, 320)])
def test_real_photos(shared_data, short, crop):
    for path in sorted((shared_data / 'imagenet_tiny' / 'val').glob('*/*')):
        img = cv2.imread(str(path))
        np.testing.assert_array_equal(
            cropped(img, short, crop), cropped_by_the_rule(img, short, crop)
        )


def test_keys():
    results = ShortSideResize(8)(dict(img=np.zeros((16, 27, 3), np.uint8)))
    assert results['img'].shape == (8, 14, 3)  # 13.5 is rounded to 14
    assert results['img_shape'] == (8, 14)


@pytest.mark.parametrize('scale', [0, 255, 256.0, -2])
def test_scale_must_be_even(scale):
    with pytest.raises(ValueError, match='an even int of at least 2'):
        ShortSideResize(scale)


def test_float_images_are_refused():
    with pytest.raises(ValueError, match='ShortSideResize takes a BGR uint8 image'):
        ShortSideResize(8)(dict(img=np.zeros((16, 16, 3), np.float32)))
