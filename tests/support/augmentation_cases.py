"""What the recipe's augmentation is compared on: operations, a image, and how draws are counted.

Imports numpy only, as the peers' interpreter uses it too.
"""

import numpy as np

SIGNED = (
    *('shear_x', 'shear_y', 'translate_x', 'translate_y'),
    *('color', 'contrast', 'brightness', 'sharpness'),
)
UNSIGNED = ('rotate', 'posterize', 'solarize', 'cutout')
WITHOUT_MAGNITUDE = ('autocontrast', 'equalize', 'invert')
NAMES = SIGNED + UNSIGNED + WITHOUT_MAGNITUDE
# (name, level, sign) of every operation that is compared.
SIGNED_LEVELS = ((3, 1), (6, -1), (9, 1), (9, -1))
CASES = (
    *((name, level, sign) for name in SIGNED for level, sign in SIGNED_LEVELS),
    *((name, level, 1) for name in UNSIGNED for level in (3, 6, 9)),
    *((name, 9, 1) for name in WITHOUT_MAGNITUDE),
)
# Row and column of the centre of a cutout; the largest box (40 pixels) fits around it.
CENTER = 24
# Rows and columns that are recorded of the formula image: corners, where the fill colour shows,
# the box of a cutout and its border, and the image's inside.
PIXELS = ((0, 0), (47, 63), (2, 60), (20, 20), (24, 43), (30, 10))


def case_key(name: str, level: int, sign: int) -> str:
    return f'{name}/{sign * level:+d}'


def sample_image() -> np.ndarray:
    """Return an RGB image ``(48, 64, 3)``, uint8: gradients, edges and noise, from 30 to 220."""
    rows, columns, channels = np.mgrid[:48, :64, :3]
    smooth = 2 * columns + (3 - channels) * rows
    edges = 60 * ((rows // 12 + columns // 16 + channels) % 2)
    noise = (columns * 7919 + rows * 104729 + channels * 1299709) % 23
    return (30 + (smooth + edges + noise) % 191).astype(np.uint8)


def summary(image: np.ndarray) -> list[int]:
    """Return the sum of each channel and the values at ``PIXELS`` of an RGB image."""
    pixels = [image[row, column] for row, column in PIXELS]
    sums = image.sum(axis=(0, 1), dtype=np.int64)
    return np.concatenate([sums, *pixels]).tolist()


def count_draws(draws: list[list[tuple[str, int, int]]]) -> dict:
    """Count what was applied to each image, given as ``(name, level, sign)`` in order.

    Returns:
        dict: ``number`` of operations a image, 0 to 2; ``levels`` 1 to 9 and ``signs`` (minus,
        plus) of each operation; ``pairs``, the first and the second operation where both were
        applied, as a matrix in the order of ``NAMES``.
    """
    levels = {name: [0] * 9 for name in NAMES}
    signs = {name: [0] * 2 for name in SIGNED}
    pairs = np.zeros((len(NAMES), len(NAMES)), int)
    for applied in draws:
        for name, level, sign in applied:
            levels[name][level - 1] += 1
            if name in SIGNED:
                signs[name][int(sign > 0)] += 1
        if len(applied) == 2:
            pairs[tuple(NAMES.index(name) for name, _, _ in applied)] += 1
    number = np.bincount([len(applied) for applied in draws], minlength=3).tolist()
    return dict(number=number, levels=levels, signs=signs, pairs=pairs.tolist())
