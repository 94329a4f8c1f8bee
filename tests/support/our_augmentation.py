"""Our side of the comparisons of RandAugment: one operation, draws, and how near is near."""

from unittest.mock import patch

import numpy as np
from augmentation_cases import CENTER
from scipy import stats

import mmpretrain_mldecoder.datasets.transforms.two_op_rand_augment as module

OPERATIONS = {operation.name: operation for operation in module.OPERATIONS}
# The peers call Pillow. All operations are equal to it but these, where float32 and double, or
# another order of summing, may fall on the two sides of an integer before the fraction is cut off:
# 1 grey level, in at most so large a share of the values (seen: up to 0.0013).
SHARE_APART = dict(shear_x=0.01, shear_y=0.01, color=0.01, sharpness=0.01)


def apply(image: np.ndarray, name: str, level: int, sign: int) -> np.ndarray:
    """Return an RGB image after one operation; a cutout is centred at ``CENTER``."""
    operation = OPERATIONS[name]
    bgr = np.ascontiguousarray(image[..., ::-1])
    with patch('numpy.random.randint', lambda *args: CENTER):
        return operation.apply(bgr, sign * operation.magnitudes[level], 128)[..., ::-1]


def draw(count: int) -> list[list[tuple[str, int, int]]]:
    """Return name, level and sign of what was applied to each of ``count`` images."""
    draws = []

    def spy(operation):
        def record(img, magnitude, fill):
            draws[-1].append((operation.name, abs(magnitude), 1 if magnitude > 0 else -1))
            return img

        return operation._replace(magnitudes=np.arange(10), apply=record)

    with patch.object(module, 'OPERATIONS', tuple(map(spy, module.OPERATIONS))):
        transform = module.TwoOpRandAugment()
        np.random.seed(0)
        for _ in range(count):
            draws.append([])
            transform(dict(img=np.zeros((1, 1, 3), np.uint8)))
    return draws


def assert_expected_draws(counts: dict) -> None:
    """Check what ``count_draws`` gives against the recipe's distribution, by chi-square.

    Two operations of fifteen with replacement, each applied with probability 0.5, levels 1 to 9
    and both signs equally likely.
    """
    quarter = sum(counts['number']) / 4
    tests = {
        'number': stats.chisquare(counts['number'], [quarter, 2 * quarter, quarter]),
        'levels': stats.chisquare(np.ravel(list(counts['levels'].values()))),
        'pairs': stats.chisquare(np.ravel(counts['pairs'])),
        'signs': stats.chisquare(list(counts['signs'].values()), axis=1),
    }
    # The draws are seeded: the bound is no flake, it is 1 in 1000 for a seed nobody chose.
    for name, test in tests.items():
        assert np.min(test.pvalue) > 1e-3, f'{name}: p = {np.min(test.pvalue)}'
