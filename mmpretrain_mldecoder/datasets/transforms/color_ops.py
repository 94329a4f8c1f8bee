"""Operations that change values and move nothing, as Pillow's ImageOps and ImageEnhance do.

All take and return BGR uint8 ``(H, W, 3)`` arrays and leave their input alone. Luminance is
ITU-R 601 (0.299 R + 0.587 G + 0.114 B). The ``adjust_*`` operations mix the picture with a
degenerate one, ``degenerate + factor * (img - degenerate)``, and cut the fraction off as Pillow
does: factor 0 gives the degenerate picture, 1 the picture itself, above 1 it is exaggerated.
"""

import cv2
import numpy as np

_VALUES = np.arange(256)
_SMOOTH = np.float32([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


def adjust_brightness(img: np.ndarray, factor: float) -> np.ndarray:
    """Mix with black."""
    return cv2.LUT(img, _mix_table(0, factor))


def adjust_contrast(img: np.ndarray, factor: float) -> np.ndarray:
    """Mix with a plain grey, the mean luminance rounded to an integer."""
    grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    return cv2.LUT(img, _mix_table(int(cv2.mean(grey)[0] + 0.5), factor))


def adjust_color(img: np.ndarray, factor: float) -> np.ndarray:
    """Mix with the grey version of the picture."""
    grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    return _mix(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), img, factor)


def adjust_sharpness(img: np.ndarray, factor: float) -> np.ndarray:
    """Mix with a version smoothed by 3 x 3 pixels; the outermost pixels are not smoothed."""
    smooth = cv2.filter2D(img, -1, _SMOOTH)
    smooth[[0, -1]] = img[[0, -1]]
    smooth[:, [0, -1]] = img[:, [0, -1]]
    return _mix(smooth, img, factor)


def posterize(img: np.ndarray, bits: int) -> np.ndarray:
    """Keep the upper ``bits`` (1..8) bits of each value."""
    return img & np.uint8(256 - (1 << (8 - bits)))


def solarize(img: np.ndarray, threshold: float) -> np.ndarray:
    """Invert the values at or above ``threshold``: 256 changes nothing, 0 inverts all."""
    return cv2.LUT(img, np.where(threshold > _VALUES, _VALUES, 255 - _VALUES).astype(np.uint8))


def invert(img: np.ndarray) -> np.ndarray:
    """Replace each value ``v`` by ``255 - v``."""
    return cv2.bitwise_not(img)


def autocontrast(img: np.ndarray) -> np.ndarray:
    """Stretch each channel linearly to 0..255; a channel of one value is left as it is."""
    tables = []
    for channel in cv2.split(img):
        low, high = cv2.minMaxLoc(channel)[:2]
        if low == high:
            tables.append(_VALUES)
        else:
            scale = 255.0 / (high - low)
            tables.append(np.clip(np.trunc(_VALUES * scale - low * scale), 0, 255))
    return _map_channels(img, tables)


def equalize(img: np.ndarray) -> np.ndarray:
    """Flatten the histogram of each channel; a channel of one value is left as it is."""
    tables = []
    for channel in cv2.split(img):
        counts = cv2.calcHist([channel], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        step = (channel.size - counts[counts.nonzero()[0][-1]]) // 255
        if step == 0:
            tables.append(_VALUES)
        else:
            below = np.cumsum(counts) - counts
            tables.append(np.minimum((step // 2 + below) // step, 255))
    return _map_channels(img, tables)


def _mix_table(degenerate: int, factor: float) -> np.ndarray:
    """The mix as a table over the 256 values, for a degenerate picture of one value."""
    mixed = degenerate + np.float32(factor) * np.float32(_VALUES - degenerate)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _mix(degenerate: np.ndarray, img: np.ndarray, factor: float) -> np.ndarray:
    # OpenCV rounds; the offset turns that into cutting off, and lifts integers that float32
    # lands just below.
    return cv2.addWeighted(img, factor, degenerate, 1 - factor, -0.5 + 1e-3)


def _map_channels(img: np.ndarray, tables: list[np.ndarray]) -> np.ndarray:
    """Apply one table of 256 values to each channel."""
    return cv2.LUT(img, np.stack(tables, axis=-1).astype(np.uint8)[None])  # table (1, 256, 3)
