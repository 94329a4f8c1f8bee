"""Small and degenerate images; every level on photos is in test_two_op_rand_augment.py."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from mmpretrain_mldecoder.datasets.transforms import augment_ops as color_ops


def apart(img: np.ndarray, pillow: Image.Image) -> int:
    """Largest difference of a BGR array and an RGB Pillow image, in grey levels."""
    return np.abs(img[..., ::-1].astype(int) - np.asarray(pillow)).max()


def random_image(height: int, width: int, low: int = 0, high: int = 256) -> np.ndarray:
    rng = np.random.default_rng(height * 100 + width)
    return rng.integers(low, high, (height, width, 3), dtype=np.uint8)


SIZES = [(1, 1), (1, 7), (6, 1), (2, 2), (3, 3), (13, 8)]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('factor', [0.0, 0.1, 0.7, 1.0, 1.3, 1.9])
@pytest.mark.parametrize('name', ['color', 'contrast', 'brightness', 'sharpness'])
def test_adjust(name, factor, size):
    """Within 1 grey level: Pillow and OpenCV sum the same float32 products in another order."""
    img = random_image(*size)
    enhance = getattr(ImageEnhance, name.capitalize())(Image.fromarray(img[..., ::-1])).enhance
    assert apart(getattr(color_ops, f'adjust_{name}')(img, factor), enhance(factor)) <= 1


@pytest.mark.parametrize('name', ['color', 'contrast', 'brightness', 'sharpness'])
def test_factor_one_changes_nothing(name):
    img = random_image(13, 8)
    np.testing.assert_array_equal(getattr(color_ops, f'adjust_{name}')(img, 1.0), img)


def test_luminance_is_of_bgr():
    """Pure blue is the darkest of the three primaries: 0.114 of 255."""
    blue = np.full((1, 1, 3), (255, 0, 0), np.uint8)
    assert color_ops.adjust_color(blue, 0.0).ravel().tolist() == [29, 29, 29]
    assert color_ops.adjust_contrast(blue, 0.0).ravel().tolist() == [29, 29, 29]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('values', [(0, 256), (60, 64), (200, 201)])
@pytest.mark.parametrize('name', ['autocontrast', 'equalize', 'invert'])
def test_histogram_operations_are_exact(name, values, size):
    img = random_image(*size, *values)
    pillow = getattr(ImageOps, name)(Image.fromarray(img[..., ::-1]))
    assert apart(getattr(color_ops, name)(img), pillow) == 0


@pytest.mark.parametrize('name', ['autocontrast', 'equalize'])
def test_channels_are_mapped_apart(name):
    """One channel of one value, one of two values, one of many, on a larger image."""
    img = random_image(40, 50)
    img[..., 0] = 9
    img[..., 1] = np.where(img[..., 1] > 100, 70, 50)
    pillow = getattr(ImageOps, name)(Image.fromarray(img[..., ::-1]))
    assert apart(getattr(color_ops, name)(img), pillow) == 0


@pytest.mark.parametrize('bits', range(1, 9))
def test_posterize(bits):
    img = random_image(13, 8)
    pillow = ImageOps.posterize(Image.fromarray(img[..., ::-1]), bits)
    assert apart(color_ops.posterize(img, bits), pillow) == 0


@pytest.mark.parametrize('threshold', [0, 0.5, 1, 128, 227.56, 255, 256])
def test_solarize(threshold):
    values = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    pillow = ImageOps.solarize(Image.fromarray(values[..., ::-1]), threshold)
    assert apart(color_ops.solarize(values, threshold), pillow) == 0
