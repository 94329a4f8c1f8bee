"""Targets by object size against the rule written as a loop."""

import numpy as np
import pytest

from mmpretrain_mldecoder.evaluation import object_size_mask, object_size_targets
from mmpretrain_mldecoder.evaluation.functional import SIZE_BINS

LIMITS = dict(small=(1e-9, 1024), medium=(1024, 9216), large=(9216, float('inf')))


def random_images(num_images=40, num_classes=5, seed=0):
    """Labels and areas of 0 to 6 instances an image; many areas sit on the limits, 0 and NaN are
    unknown."""
    rng = np.random.default_rng(seed)
    areas = np.array(
        [0, np.nan, 1, 1023.9, 1024, 1025, 9215.9, 9216, 9217, 250000], dtype=np.float32
    )
    for _ in range(num_images):
        count = rng.integers(0, 7)
        yield rng.integers(0, num_classes, count), rng.choice(areas, count)


@pytest.mark.parametrize('size', SIZE_BINS)
def test_equals_the_rule(size):
    images = list(random_images())
    targets = np.zeros((len(images), 5), dtype=np.int8)
    for row, (labels, _) in zip(targets, images, strict=True):
        row[labels] = 1
    unknown = np.random.default_rng(1).random(targets.shape) < 0.1
    targets[unknown] = -1
    masks = np.stack([object_size_mask(labels, areas, 5) for labels, areas in images])
    result = object_size_targets(targets, masks, size)

    low, high = LIMITS[size]
    for i, (labels, areas) in enumerate(images):
        for c in range(5):
            own = [low <= a < high for label, a in zip(labels, areas, strict=True) if label == c]
            expected = -1 if unknown[i, c] else 1 if any(own) else -1 if own else 0
            assert result[i, c] == expected, (i, c)


def test_wrong_arguments():
    np.testing.assert_array_equal(object_size_mask([], [], 3), [0, 0, 0])
    for labels, areas, message in (
        ([0, 1], [5.0], r'shapes \(2,\) and \(1,\)'),
        ([0, 3], [5.0, 5.0], r'in \[0, 3\), got 0 to 3'),
        ([0], [-2.0], 'negative, got .-2'),
    ):
        with pytest.raises(ValueError, match=message):
            object_size_mask(labels, areas, 3)
    for masks, size, message in (
        ([[0, 0]], 'tiny', r"one of .*got 'tiny'"),
        ([[0]], 'small', r'\(1, 2\) and \(1, 1\)'),
        ([[0, 1]], 'small', 'sample 0 has an instance of class 1, but its label'),
    ):
        with pytest.raises(ValueError, match=message):
            object_size_targets(np.zeros((1, 2)), np.array(masks, np.uint8), size)
