import cv2
import matplotlib
import numpy as np
import pytest

from mmpretrain_mldecoder.visualization.attention_overlay import attention_overlay, times_average


def test_overlay_is_heat_over_the_grey_image():
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 256, (30, 50, 3), np.uint8)
    weights = rng.random((3, 5))
    overlay = attention_overlay(seen, weights)
    assert overlay.shape == seen.shape
    assert overlay.dtype == np.uint8
    luma = seen @ [0.114, 0.587, 0.299]  # BGR, ITU-R BT.601
    # Between the centres of four cells, the enlarged map is their mean.
    for row in (1, 2):
        for column in (1, 2, 3, 4):
            cells = weights[row - 1 : row + 1, column - 1 : column + 1]
            y, x = slice(10 * row - 1, 10 * row + 1), slice(10 * column - 1, 10 * column + 1)
            heat = 255 * np.array(matplotlib.colormaps['inferno'](cells.mean() / weights.max()))
            expected = 0.6 * heat[:3] + 0.4 * luma[y, x].mean()
            # 8-bit rounding, and colours that are not quite linear between 4 pixels.
            np.testing.assert_allclose(overlay[y, x].mean((0, 1)), expected, atol=3)


def test_strongest_cell_is_the_brightest_and_scale_does_not_matter():
    seen = np.full((64, 96, 3), 100, np.uint8)
    weights = np.full((2, 3), 0.05)
    weights[1, 2] = 0.75
    overlay = attention_overlay(seen, weights)
    lightness = cv2.cvtColor(overlay, cv2.COLOR_RGB2GRAY)
    row, column = np.unravel_index(lightness.argmax(), lightness.shape)
    assert row >= 32
    assert column >= 64
    assert np.array_equal(attention_overlay(seen, 1000 * weights), overlay)


@pytest.mark.parametrize('shape', [(1, 1), (7, 3)])
def test_empty_map_is_dark_throughout(shape):
    seen = np.full((20, 30, 3), 200, np.uint8)
    overlay = attention_overlay(seen, np.zeros(shape, np.float32))
    assert (overlay <= 0.4 * 200 + 3).all()  # inferno begins at (0, 0, 0.014)


def test_times_average():
    assert times_average(np.full((3, 4), 1 / 12)) == pytest.approx(1)
    peak = np.zeros((3, 4), np.float32)
    peak[1, 2] = 1
    assert times_average(peak) == pytest.approx(12)
    assert times_average(np.zeros((3, 4))) == 0
