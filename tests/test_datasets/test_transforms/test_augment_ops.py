"""Small and degenerate images; every level on photos is in test_two_op_rand_augment.py."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from mmpretrain_mldecoder.datasets.transforms import augment_ops

SIZES = [(1, 1), (1, 7), (6, 1), (2, 2), (3, 3), (31, 4), (4, 31), (13, 8)]


def random_image(height: int, width: int, low: int = 0, high: int = 256) -> np.ndarray:
    rng = np.random.default_rng(height * 100 + width)
    return rng.integers(low, high, (height, width, 3), dtype=np.uint8)


def apart(img: np.ndarray, pillow: Image.Image) -> int:
    """Largest difference of a BGR array and an RGB Pillow image, in grey levels."""
    return np.abs(img[..., ::-1].astype(int) - np.asarray(pillow)).max()


def in_rgb(img: np.ndarray) -> Image.Image:
    return Image.fromarray(img[..., ::-1])


@pytest.mark.parametrize('name', ['color', 'contrast', 'brightness', 'sharpness'])
def test_adjust(name):
    """Within 1 grey level: Pillow and OpenCV sum the same float32 products in another order."""
    adjust = getattr(augment_ops, f'adjust_{name}')
    for size in SIZES:
        img = random_image(*size)
        enhance = getattr(ImageEnhance, name.capitalize())(in_rgb(img)).enhance
        for factor in (0.0, 0.1, 0.7, 1.3, 1.9):
            assert apart(adjust(img, factor), enhance(factor)) <= 1, (size, factor)
        np.testing.assert_array_equal(adjust(img, 1.0), img)


def test_luminance_is_of_bgr():
    """Pure blue is the darkest of the three primaries: 0.114 of 255."""
    blue = np.full((1, 1, 3), (255, 0, 0), np.uint8)
    assert augment_ops.adjust_color(blue, 0.0).ravel().tolist() == [29, 29, 29]
    assert augment_ops.adjust_contrast(blue, 0.0).ravel().tolist() == [29, 29, 29]


@pytest.mark.parametrize('name', ['autocontrast', 'equalize', 'invert'])
def test_histogram_operations_are_exact(name):
    images = [
        random_image(*size, *values)
        for size in SIZES
        for values in ((0, 256), (60, 64), (200, 201))
    ]
    mixed = random_image(40, 50)  # channels of one value, of two and of many
    mixed[..., 0] = 9
    mixed[..., 1] = np.where(mixed[..., 1] > 100, 70, 50)
    for img in (*images, mixed):
        pillow = getattr(ImageOps, name)(in_rgb(img))
        assert apart(getattr(augment_ops, name)(img), pillow) == 0


def test_posterize_and_solarize():
    values = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    for bits in range(1, 9):
        pillow = ImageOps.posterize(in_rgb(values), bits)
        assert apart(augment_ops.posterize(values, bits), pillow) == 0
    for threshold in (0, 0.5, 1, 128, 227.56, 255, 256):
        pillow = ImageOps.solarize(in_rgb(values), threshold)
        assert apart(augment_ops.solarize(values, threshold), pillow) == 0


def transformed(img: np.ndarray, matrix: tuple, resample: Image.Resampling) -> np.ndarray:
    pillow = Image.fromarray(img)
    affine = Image.Transform.AFFINE
    return np.asarray(pillow.transform(pillow.size, affine, matrix, resample, fillcolor=(7, 7, 7)))


@pytest.mark.parametrize('slope', [0.0, 0.1, -0.3, 1.7, -4.0])
def test_shear(slope):
    """Within 1 grey level: our weights are float32, Pillow's double, and both truncate."""
    bicubic = Image.Resampling.BICUBIC
    for size in SIZES:
        img = random_image(*size)
        expected_x = transformed(img, (1, slope, 0, 0, 1, 0), bicubic)
        expected_y = transformed(img, (1, 0, 0, slope, 1, 0), bicubic)
        assert np.abs(augment_ops.shear_x(img, slope, 7).astype(int) - expected_x).max() <= 1
        assert np.abs(augment_ops.shear_y(img, slope, 7).astype(int) - expected_y).max() <= 1


@pytest.mark.parametrize('sign', [1, -1])
def test_shear_of_the_recipes_levels_on_a_tall_image(sign):
    """Rows that share a filter; at some levels a row's shift is beside a whole number."""
    img = random_image(150, 40)
    for slope in sign * np.linspace(0, 0.3, 10)[1:]:
        expected = transformed(img, (1, slope, 0, 0, 1, 0), Image.Resampling.BICUBIC)
        assert np.abs(augment_ops.shear_x(img, slope, 7).astype(int) - expected).max() <= 1


@pytest.mark.parametrize('fraction', [0.0, 0.05, -0.24, 0.4531, -1.0, 1.5, -3.0])
def test_translate(fraction):
    nearest = Image.Resampling.NEAREST
    for height, width in SIZES:
        img = random_image(height, width)
        expected_x = transformed(img, (1, 0, fraction * width, 0, 1, 0), nearest)
        expected_y = transformed(img, (1, 0, 0, 0, 1, fraction * height), nearest)
        np.testing.assert_array_equal(augment_ops.translate_x(img, fraction, 7), expected_x)
        np.testing.assert_array_equal(augment_ops.translate_y(img, fraction, 7), expected_y)


@pytest.mark.parametrize('degrees', [0.5, 10 / 3, 30, 45, -20, 135])
def test_rotate(degrees):
    nearest = Image.Resampling.NEAREST
    for size in SIZES:
        img = random_image(*size)
        expected = np.asarray(Image.fromarray(img).rotate(degrees, nearest, fillcolor=(7, 7, 7)))
        np.testing.assert_array_equal(augment_ops.rotate(img, degrees, 7), expected)


def test_rotate_is_counter_clockwise():
    img = np.zeros((5, 5, 3), np.uint8)
    img[0, 2] = 255  # top
    assert augment_ops.rotate(img, 90, 0)[2, 0, 0] == 255  # left


@pytest.mark.parametrize('center', [(0, 0), (5, 3), (9, 6), (0, 6)])
@pytest.mark.parametrize('sides', [(1, 1), (4, 6), (5, 7), (100, 100)])
def test_fill_box(sides, center):
    img = random_image(10, 7)
    out = img.copy()
    augment_ops.fill_box(out, center, sides, np.array([1, 2, 3]))
    for y in range(10):
        for x in range(7):
            inside = (
                -(sides[0] // 2) <= y - center[0] < sides[0] // 2
                and -(sides[1] // 2) <= x - center[1] < sides[1] // 2
            )
            assert out[y, x].tolist() == ([1, 2, 3] if inside else img[y, x].tolist())
