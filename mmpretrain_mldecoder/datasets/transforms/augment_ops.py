"""Operations of RandAugment and cutout on arrays, with the pixels of Pillow's.

All take and return BGR uint8 ``(H, W, 3)`` arrays, as :func:`bgr_image` gives them, and leave their
input alone. Luminance is ITU-R 601 (0.299 R + 0.587 G + 0.114 B). The ``adjust_*`` operations mix
the image with a degenerate one, ``degenerate + factor * (img - degenerate)``, and truncate as
Pillow does: factor 0 gives the degenerate image, 1 the image itself, above 1 it is exaggerated.
"""

import math

import cv2
import numpy as np

_VALUES = np.arange(256)
_SMOOTH = np.float32([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


def bgr_image(results: dict, transform: str) -> np.ndarray:
    """Return ``results['img']`` contiguous: BGR, uint8, ``(H, W, 3)``.

    Raises:
        ValueError: If it is something else, or empty; names ``transform``, the calling one.
    """
    img = results['img']
    if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3 or img.size == 0:
        raise ValueError(
            f'{transform} takes a BGR uint8 image of shape (H, W, 3), not {img.dtype} of shape '
            f'{img.shape} (img_path: {results.get("img_path")}). Load it with '
            "dict(type='LoadImageFromFile') without to_float32 or color_type='grayscale', and "
            'normalise after this transform.'
        )
    return np.ascontiguousarray(img)  # a flip before us leaves negative strides


def adjust_brightness(img: np.ndarray, factor: float) -> np.ndarray:
    """Mix with black."""
    return cv2.LUT(img, _mix_table(0, factor))


def adjust_contrast(img: np.ndarray, factor: float) -> np.ndarray:
    """Mix with a plain grey, the mean luminance rounded to an integer."""
    grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    return cv2.LUT(img, _mix_table(int(cv2.mean(grey)[0] + 0.5), factor))


def adjust_color(img: np.ndarray, factor: float) -> np.ndarray:
    """Mix with the grey version of the image."""
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
    """The mix as a table over the 256 values, for a degenerate image of one value."""
    mixed = degenerate + np.float32(factor) * np.float32(_VALUES - degenerate)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _mix(degenerate: np.ndarray, img: np.ndarray, factor: float) -> np.ndarray:
    # OpenCV rounds; the offset turns that into cutting off, and lifts integers that float32
    # lands just below.
    return cv2.addWeighted(img, factor, degenerate, 1 - factor, -0.5 + 1e-3)


def _map_channels(img: np.ndarray, tables: list[np.ndarray]) -> np.ndarray:
    """Apply one table of 256 values to each channel."""
    return cv2.LUT(img, np.stack(tables, axis=-1).astype(np.uint8)[None])  # table (1, 256, 3)


def shear_x(img: np.ndarray, slope: float, fill: int) -> np.ndarray:
    """Take pixel ``(y, x)`` from column ``x + slope * (y + 0.5)``, bicubic.

    The result is Pillow's up to float rounding: 1 grey level in about 1 of 1000 values.
    """
    height, width = img.shape[:2]
    shift = slope * (np.arange(height) + 0.5)
    mixed, whole = _mix_taps(img, slope, shift)
    first = np.clip(np.ceil(-0.5 - shift), 0, width).astype(np.int64)
    stop = np.clip(np.ceil(width - 0.5 - shift), 0, width).astype(np.int64)
    out = np.full_like(img, fill)
    left, right = (first + whole + 2).tolist(), (stop + whole + 2).tolist()
    for y, (start, end) in enumerate(zip(first.tolist(), stop.tolist(), strict=True)):
        if start < end:
            out[y, start:end] = mixed[y, left[y] : right[y]]
    return out


def shear_y(img: np.ndarray, slope: float, fill: int) -> np.ndarray:
    """Take pixel ``(y, x)`` from row ``y + slope * (x + 0.5)``, bicubic."""
    return cv2.transpose(shear_x(cv2.transpose(img), slope, fill))


def _mix_taps(img: np.ndarray, slope: float, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weigh the four pixels of the bicubic kernel for the fraction of each row's shift.

    Returns uint8 ``mixed``, ``(H, W + 4, 3)``, and int64 ``whole``, ``(H,)``: the value of pixel
    ``(y, x)`` is ``mixed[y, x + whole[y] + 2]``.
    """
    # The fraction is the same along a row, and in every `period`-th row if `slope * period` is a
    # whole number (the recipe's slopes are multiples of 1/30): one filter serves all these rows.
    height = len(img)
    multiples = slope * np.arange(1, height + 1)
    is_whole = np.abs(multiples - np.round(multiples)) < 1e-9
    period = int(is_whole.argmax()) + 1 if is_whole.any() else height

    whole = np.floor(shift[:period])
    d = shift[:period] - whole
    near, far = 1 + d - d * d, d * (1 - d)
    kernels = np.stack([-far * (1 - d), near * (1 - d), near * d, -far * d], axis=1)  # (period, 4)
    padded = cv2.copyMakeBorder(img, 0, 0, 2, 2, cv2.BORDER_REPLICATE)
    mixed = np.empty_like(padded)
    for y in range(period):
        # Pillow cuts the fraction off, OpenCV rounds; 1e-3 lifts sums just below an integer.
        cv2.filter2D(
            padded[y::period], -1, kernels[y : y + 1], mixed[y::period], (1, 0), -0.5 + 1e-3
        )

    # Not floor(shift): beside a whole number it may fall on the other side than in the row whose
    # kernel is used.
    turns, y = np.divmod(np.arange(height), period)
    return mixed, (whole[y] + turns * np.round(slope * period)).astype(np.int64)


def translate_x(img: np.ndarray, fraction: float, fill: int) -> np.ndarray:
    """Take pixel ``(y, x)`` from column ``x + fraction * W``, nearest; below 1 either way."""
    width = img.shape[1]
    shift = math.floor(fraction * width + 0.5)
    out = np.full_like(img, fill)
    out[:, max(0, -shift) : width - max(0, shift)] = img[:, max(0, shift) : width + min(0, shift)]
    return out


def translate_y(img: np.ndarray, fraction: float, fill: int) -> np.ndarray:
    """Take pixel ``(y, x)`` from row ``y + fraction * H``, nearest; below 1 either way."""
    return translate_x(img.swapaxes(0, 1), fraction, fill).swapaxes(0, 1)


def rotate(img: np.ndarray, degrees: float, fill: int) -> np.ndarray:
    """Turn the image counter-clockwise about its centre, nearest, same size.

    Coordinates are 16.16 fixed-point numbers as in Pillow, so that ties fall the same way.
    """
    height, width = img.shape[:2]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # Source of the centre of output pixel (0, 0); one step in x adds (cos, sin), in y (-sin, cos).
    x0 = width / 2 + cos * (0.5 - width / 2) - sin * (0.5 - height / 2)
    y0 = height / 2 + sin * (0.5 - width / 2) + cos * (0.5 - height / 2)
    cos, sin, x0, y0 = (math.floor(value * 65536 + 0.5) for value in (cos, sin, x0, y0))
    columns = np.arange(width, dtype=np.int32)
    rows = np.arange(height, dtype=np.int32)[:, None]
    x = columns * cos + (x0 - rows * sin)
    y = columns * sin + (y0 + rows * cos)
    # The whole numbers are the upper 16 bits: put those of x below those of y, for (x, y) in int16.
    source = (y & -65536) | (x.view(np.uint32) >> 16).view(np.int32)
    source = source.astype('<i4', copy=False).view('<i2').reshape(height, width, 2)
    return cv2.remap(
        img, source, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=[fill] * 3
    )


def fill_box(
    img: np.ndarray, center: tuple[int, int], sides: tuple[int, int], color: np.ndarray
) -> None:
    """Fill one box of ``img``, clipped at the border, with one colour.

    Along each axis it spans ``center - side // 2`` to ``center + side // 2``, end excluded.
    """
    (y, x), (half_y, half_x) = center, (sides[0] // 2, sides[1] // 2)
    box = img[max(0, y - half_y) : y + half_y, max(0, x - half_x) : x + half_x]
    box[:] = np.full_like(box[:1], color)  # a row: rows are copied faster than single pixels
