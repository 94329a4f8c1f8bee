"""Operations that move or hide pixels, as Pillow's ``Image.transform`` and ``rotate`` do.

All take uint8 ``(H, W, 3)`` arrays; all but ``fill_box`` return a new one and leave their input
alone. Pillow samples at pixel centres: output pixel ``x`` lies at ``x + 0.5``; a pixel whose
source lies outside the picture gets ``fill`` in every channel. Shear is bicubic with the kernel
parameter ``a = -1`` that Pillow uses here (OpenCV's is -0.75), the other operations take the
nearest pixel.
"""

import math

import cv2
import numpy as np


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


def translate_x(img: np.ndarray, fraction: float, fill: int) -> np.ndarray:
    """Take pixel ``(y, x)`` from column ``x + fraction * W``, nearest."""
    width = img.shape[1]
    shift = max(-width, min(width, math.floor(fraction * width + 0.5)))
    out = np.full_like(img, fill)
    out[:, max(0, -shift) : width - max(0, shift)] = img[:, max(0, shift) : width + min(0, shift)]
    return out


def translate_y(img: np.ndarray, fraction: float, fill: int) -> np.ndarray:
    """Take pixel ``(y, x)`` from row ``y + fraction * H``, nearest."""
    height = img.shape[0]
    shift = max(-height, min(height, math.floor(fraction * height + 0.5)))
    out = np.full_like(img, fill)
    out[max(0, -shift) : height - max(0, shift)] = img[max(0, shift) : height + min(0, shift)]
    return out


def rotate(img: np.ndarray, degrees: float, fill: int) -> np.ndarray:
    """Turn the picture counter-clockwise about its centre, nearest, same size.

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

    Args:
        img (np.ndarray): uint8, ``(H, W, 3)``.
        center (tuple[int, int]): Row and column.
        sides (tuple[int, int]): Height and width in pixels; the box spans
            ``center - side // 2`` to ``center + side // 2``, end excluded.
        color (np.ndarray): Three values in 0..255, in the channel order of ``img``.
    """
    (y, x), (half_y, half_x) = center, (sides[0] // 2, sides[1] // 2)
    box = img[max(0, y - half_y) : y + half_y, max(0, x - half_x) : x + half_x]
    box[:] = np.full_like(box[:1], color)  # a row: rows are copied faster than single pixels


def _mix_taps(img: np.ndarray, slope: float, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weigh the four pixels of the bicubic kernel for the fraction of each row's shift.

    The fraction is the same along a row, and in every ``period``-th row if ``slope * period`` is a
    whole number (the recipe's slopes are multiples of 1/30): one filter serves all these rows.

    Returns:
        tuple: ``mixed``, uint8, ``(H, W + 4, 3)``, and ``whole``, int64, ``(H,)``: the value of
        pixel ``(y, x)`` is ``mixed[y, x + whole[y] + 2]``.
    """
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
