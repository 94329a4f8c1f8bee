"""Small images and steep slopes; every level on photos is in test_two_op_rand_augment.py."""

import numpy as np
import pytest
from PIL import Image

from mmpretrain_mldecoder.datasets.transforms import augment_ops as geometric_ops

SIZES = [(1, 1), (1, 7), (6, 1), (2, 2), (31, 4), (4, 31), (13, 8)]


def random_image(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * 100 + width)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def transformed(img: np.ndarray, matrix: tuple, resample: Image.Resampling) -> np.ndarray:
    pillow = Image.fromarray(img)
    affine = Image.Transform.AFFINE
    return np.asarray(pillow.transform(pillow.size, affine, matrix, resample, fillcolor=(7, 7, 7)))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('slope', [0.0, 0.1, -0.3, 1.7, -4.0])
def test_shear(slope, size):
    """Within 1 grey level: our weights are float32, Pillow's double, and both cut off."""
    img = random_image(*size)
    bicubic = Image.Resampling.BICUBIC
    expected_x = transformed(img, (1, slope, 0, 0, 1, 0), bicubic)
    expected_y = transformed(img, (1, 0, 0, slope, 1, 0), bicubic)
    assert np.abs(geometric_ops.shear_x(img, slope, 7).astype(int) - expected_x).max() <= 1
    assert np.abs(geometric_ops.shear_y(img, slope, 7).astype(int) - expected_y).max() <= 1


@pytest.mark.parametrize('level', range(1, 10))
@pytest.mark.parametrize('sign', [1, -1])
def test_shear_of_the_recipes_levels_on_a_tall_image(level, sign):
    """Rows that share a filter; at some levels a row's shift is beside a whole number."""
    img = random_image(150, 40)
    slope = sign * np.linspace(0, 0.3, 10)[level]
    expected = transformed(img, (1, slope, 0, 0, 1, 0), Image.Resampling.BICUBIC)
    assert np.abs(geometric_ops.shear_x(img, slope, 7).astype(int) - expected).max() <= 1


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('fraction', [0.0, 0.05, -0.24, 0.4531, -1.0, 1.5, -3.0])
def test_translate(fraction, size):
    img = random_image(*size)
    height, width = size
    nearest = Image.Resampling.NEAREST
    expected_x = transformed(img, (1, 0, fraction * width, 0, 1, 0), nearest)
    expected_y = transformed(img, (1, 0, 0, 0, 1, fraction * height), nearest)
    np.testing.assert_array_equal(geometric_ops.translate_x(img, fraction, 7), expected_x)
    np.testing.assert_array_equal(geometric_ops.translate_y(img, fraction, 7), expected_y)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('degrees', [0.5, 10 / 3, 30, 45, -20, 135])
def test_rotate(degrees, size):
    img = random_image(*size)
    nearest = Image.Resampling.NEAREST
    expected = np.asarray(Image.fromarray(img).rotate(degrees, nearest, fillcolor=(7, 7, 7)))
    np.testing.assert_array_equal(geometric_ops.rotate(img, degrees, 7), expected)


def test_rotate_is_counter_clockwise():
    img = np.zeros((5, 5, 3), np.uint8)
    img[0, 2] = 255  # top
    assert geometric_ops.rotate(img, 90, 0)[2, 0, 0] == 255  # left


@pytest.mark.parametrize('center', [(0, 0), (5, 3), (9, 6), (0, 6)])
@pytest.mark.parametrize('sides', [(1, 1), (2, 2), (4, 6), (5, 7), (100, 100)])
def test_fill_box(sides, center):
    img = random_image(10, 7)
    out = img.copy()
    geometric_ops.fill_box(out, center, sides, np.array([1, 2, 3]))
    for y in range(10):
        for x in range(7):
            inside = (
                -(sides[0] // 2) <= y - center[0] < sides[0] // 2
                and -(sides[1] // 2) <= x - center[1] < sides[1] // 2
            )
            assert out[y, x].tolist() == ([1, 2, 3] if inside else img[y, x].tolist())
