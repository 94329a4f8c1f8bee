"""Our RandAugment against what the authors' package and PaddleClas gave, recorded.

``tests/peers/test_augmentation.py`` runs the peers themselves.
"""

import json
from pathlib import Path

import numpy as np
import our_augmentation
import pytest
from augmentation_cases import CASES, CENTER, case_key, count_draws, formula_picture, summary

RECORD = json.loads((Path(__file__).parents[2] / 'recorded/paddleclas_augment.json').read_text())


@pytest.mark.parametrize('case', CASES, ids=lambda case: case_key(*case))
def test_equals_the_authors(case):
    ours = summary(our_augmentation.apply(formula_picture(), *case))
    theirs = RECORD['outputs']['authors'][case_key(*case)]
    share = our_augmentation.SHARE_APART.get(case[0], 0)
    # The first three numbers are sums over 3072 values, the others single values.
    apart = np.abs(np.subtract(ours, theirs))
    assert apart[:3].max() <= share * 3072
    assert apart[3:].max() <= (share > 0)
    assert (apart[3:] > 0).sum() <= 1


def test_paddleclas_differs_from_the_authors_in_the_cutout_only():
    """Its cutout is black and reaches the size to each side of the centre, not half of it."""
    theirs = RECORD['outputs']['paddleclas']
    assert list(theirs) == ['cutout/+3', 'cutout/+6', 'cutout/+9']
    for key, size in zip(theirs, (7, 13, 20), strict=True):
        expected = formula_picture()
        box = slice(CENTER - size, CENTER + size)
        expected[box, box] = 0
        assert theirs[key] == summary(expected)


def test_draws_have_the_expected_distribution():
    our_augmentation.assert_expected_draws(count_draws(our_augmentation.draw(10_000)))


@pytest.mark.parametrize('peer', ['authors', 'paddleclas'])
def test_draws_of_the_peers_have_the_same(peer):
    counts = RECORD['draws'][peer]
    assert sum(counts['number']) == 10_000
    our_augmentation.assert_expected_draws(counts)
