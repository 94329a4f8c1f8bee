"""Suspected labels: the rule of confident learning, written out."""

import numpy as np
import pytest

from mmpretrain_mldecoder.analysis.audit.suspicions import find_suspicions

pytest.importorskip('cleanlab')


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    true = generator.random((300, 4)) < 0.2
    scores = np.clip(true * 0.6 + generator.normal(0.2, 0.15, true.shape), 0.001, 0.999)
    targets = true.astype(np.int8)
    flipped = generator.random(true.shape) < 0.03
    targets[flipped] = 1 - targets[flipped]
    return scores.astype(np.float32), targets


def test_a_suspicion_scores_as_those_that_have_the_other_value(data):
    scores, targets = data
    wanted = set()
    for label in range(targets.shape[1]):
        yes, given = scores[:, label].astype(float), targets[:, label]
        least_yes, least_no = yes[given == 1].mean(), (1 - yes[given == 0]).mean()
        wanted |= {(i, label, 0) for i in np.flatnonzero((given == 0) & (yes >= least_yes))}
        wanted |= {(i, label, 1) for i in np.flatnonzero((given == 1) & (1 - yes >= least_no))}
    found = find_suspicions(scores, targets)
    assert {(each.image, each.label, each.given) for each in found} == wanted
    assert len(found) == len(wanted) > 10
    assert all(each.score == pytest.approx(scores[each.image, each.label]) for each in found)


def test_missing_and_spurious_take_turns_the_surest_first(data):
    found = find_suspicions(*data)
    kinds = [[each for each in found if each.given == given] for given in (0, 1)]
    shorter = min(map(len, kinds))
    assert [each.given for each in found[: 2 * shorter]] == [0, 1] * shorter
    missing, spurious = ([each.score for each in kind] for kind in kinds)
    assert missing == sorted(missing, reverse=True) and spurious == sorted(spurious)


def test_unknown_labels_are_left_out(data):
    scores, targets = data
    hidden = np.random.default_rng(1).random(targets.shape) < 0.3
    targets[hidden] = -1
    found = find_suspicions(scores, targets)
    assert found and not any(hidden[each.image, each.label] for each in found)
    # as if the images were not there
    known = targets[:, 0] >= 0
    alone = find_suspicions(scores[known][:, :1], targets[known][:, :1])
    images = np.flatnonzero(known)
    assert {images[each.image] for each in alone} == {e.image for e in found if e.label == 0}


def test_what_is_not_judged_is_not_suspected(data):
    scores, targets = data
    scores[:, 1] = np.nan
    targets[:, 2] = 0
    assert {each.label for each in find_suspicions(scores, targets)} == {0, 3}
