"""Photo-like JPEGs for benchmarks: they cost a decoder about what photos of the same size do.

Discs of all sizes that hide each other ("dead leaves") have the edges and the spectrum of natural
photos; grain on top of them brings the file to the bits per pixel of a real one.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def draw_photo(height: int, width: int, seed: int, grain: float) -> np.ndarray:
    """Return an RGB image, uint8, ``(height, width, 3)``.

    Args:
        height (int): Pixels.
        width (int): Pixels.
        seed (int): Of the leaves and the grain.
        grain (float): Standard deviation of the grain, in grey levels.
    """
    rng = np.random.default_rng(seed)
    img = np.empty((height, width, 3), np.uint8)
    img[:] = rng.integers(40, 200, 3)
    count = 4000
    # The density of radii falls with the cube, as that of objects seen at all distances.
    radii = min(height, width) / 3 / np.sqrt(1 + 4000 * rng.random(count))
    centers = rng.random((count, 2)) * (width, height)
    colors = rng.normal((120, 115, 105), 15, (count, 3)) + rng.normal(0, 45, (count, 1))
    for radius, center, color in zip(radii, centers, colors, strict=True):
        cv2.circle(
            img, center.astype(int).tolist(), int(radius), color.tolist(), cv2.FILLED, cv2.LINE_AA
        )
    noise = rng.normal(0, grain, (height, width, 1)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, None, 0.7)[..., None] * 2
    shade = np.linspace(-25, 25, height, dtype=np.float32)[:, None, None]
    return np.clip(img + shade + noise, 0, 255).astype(np.uint8)


def write_photos(
    folder: Path, count: int, sides: tuple[int, int], subsampled: bool = False
) -> list[Path]:
    """Write JPEGs of about 4.5 bits per pixel, or with subsampled colour of about 2.

    The former is what COCO has, the latter is usual for a camera. Every third is upright.

    Args:
        folder (Path): Where they go.
        count (int): How many.
        sides (tuple[int, int]): The short and the long side in pixels.
        subsampled (bool): Whether colour is stored at half the resolution. Defaults to False.

    Returns:
        list[Path]: The files.
    """
    short, long = sides
    paths = [folder / f'{short}x{long}_{i:03d}.jpg' for i in range(count)]
    for i, path in enumerate(paths):
        size = (long, short) if i % 3 == 2 else (short, long)
        img = Image.fromarray(draw_photo(*size, seed=i, grain=6))
        img.save(path, quality=92, subsampling=2 if subsampled else 0)
    return paths
