"""Operations that move or hide pixels, as Pillow's ``Image.transform`` and ``rotate`` do.

All take and return uint8 ``(H, W, 3)`` arrays and leave their input alone. Pillow samples at
pixel centres: output pixel ``x`` lies at ``x + 0.5``; a pixel whose source lies outside the
picture gets ``fill`` in every channel. Shear is bicubic with the kernel parameter ``a = -1`` that
Pillow uses here (OpenCV's is -0.75), the other operations take the nearest pixel.
"""

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F


def shear_x(img: np.ndarray, slope: float, fill: int) -> np.ndarray:
    """Take pixel ``(y, x)`` from column ``x + slope * (y + 0.5)``, bicubic.

    The result is Pillow's up to float rounding: 1 grey level in about 1 of 1000 values.
    """
    out = np.empty_like(img)
    shift = slope * (np.arange(len(img)) + 0.5)
    # In strips, whose float buffers fit the cache and are not given back to the system each time.
    for top in range(0, len(img), 64):
        strip = np.s_[top : top + 64]
        out[strip] = _shift_rows(img[strip], shift[strip], fill)
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
    columns = np.arange(width)
    rows = np.arange(height)[:, None]
    source = np.empty((height, width, 2), np.int16)
    source[..., 0] = (columns * cos + (x0 - rows * sin)) >> 16
    source[..., 1] = (columns * sin + (y0 + rows * cos)) >> 16
    return cv2.remap(
        img, source, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=[fill] * 3
    )


def cut_box(
    img: np.ndarray, center: tuple[int, int], sides: tuple[int, int], color: np.ndarray
) -> np.ndarray:
    """Fill one box, clipped at the border, with one colour.

    Args:
        img (np.ndarray): uint8, ``(H, W, 3)``.
        center (tuple[int, int]): Row and column.
        sides (tuple[int, int]): Height and width in pixels; the box spans
            ``center - side // 2`` to ``center + side // 2``, end excluded.
        color (np.ndarray): Three values in 0..255, in the channel order of ``img``.
    """
    (y, x), (half_y, half_x) = center, (sides[0] // 2, sides[1] // 2)
    out = img.copy()
    out[max(0, y - half_y) : y + half_y, max(0, x - half_x) : x + half_x] = color
    return out


def _shift_rows(img: np.ndarray, shift: np.ndarray, fill: int) -> np.ndarray:
    """Take row ``y`` from ``shift[y]`` pixels to the right, bicubic.

    The shift is constant along a row, so the four taps of the kernel have one weight a row.
    """
    height, width, channels = img.shape
    whole = np.clip(np.floor(shift), -width, width).astype(np.int64)
    margin = int(np.abs(whole).max()) + 2
    padded = cv2.copyMakeBorder(img, 0, 0, margin, margin, cv2.BORDER_REPLICATE)
    padded = padded.reshape(height, -1)  # (H, (W + 2 * margin) * 3)

    # Row y of `taps` starts one pixel left of the source of column 0.
    taps = np.empty((height, (width + 3) * channels), np.float32)
    for y, start in enumerate(((whole + margin - 1) * channels).tolist()):
        taps[y] = padded[y, start : start + taps.shape[1]]

    d = shift - np.floor(shift)
    near, far = 1 + d - d * d, d * (1 - d)
    kernels = np.stack([-far * (1 - d), near * (1 - d), near * d, -far * d], axis=1)  # (H, 4)
    # A grouped convolution with a row a group. Pillow cuts the fraction off; the bias lifts
    # float32 sums that land just below an integer.
    mixed = F.conv1d(
        torch.from_numpy(taps)[None],  # (1, H, (W + 3) * 3)
        torch.from_numpy(kernels).float()[:, None],  # (H, 1, 4)
        bias=torch.full((height,), 1e-3),
        dilation=channels,
        groups=height,
    )
    out = mixed.clamp_(0, 255).to(torch.uint8).numpy().reshape(img.shape)

    first = np.clip(np.ceil(-0.5 - shift), 0, width).astype(np.int64).tolist()
    stop = np.clip(np.ceil(width - 0.5 - shift), 0, width).astype(np.int64).tolist()
    for y in range(height):
        out[y, : first[y]] = fill
        out[y, stop[y] :] = fill
    return out
