"""Fitted thresholds against scikit-learn's curve, searched exhaustively."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from mmpretrain_mldecoder.evaluation.functional import best_f1_thresholds, precision_thresholds


@st.composite
def one_class(draw):
    """Few levels (ties), neighbouring floats, unknown labels; float16, 32 or 64."""
    dtype = np.dtype(draw(st.sampled_from(['float16', 'float32', 'float64'])))
    some = draw(st.lists(st.floats(0, 1, width=16), min_size=1, max_size=4))
    levels = np.array(some, dtype)
    levels = np.clip(np.append(levels, np.nextafter(levels, dtype.type(1))), 0, 1)
    size = draw(st.integers(1, 12))
    index = st.lists(st.integers(0, len(levels) - 1), min_size=size, max_size=size)
    labels = st.lists(st.sampled_from([1, 0, -1]), min_size=size, max_size=size)
    return levels[draw(index)].astype(dtype), np.array(draw(labels))


def curve(scores, targets):
    """Precision, recall and F1 at each distinct known score, lowest first, by scikit-learn."""
    known = targets != -1
    precision, recall, values = precision_recall_curve(targets[known], scores[known])
    precision, recall = precision[: len(values)], recall[: len(values)]
    total = precision + recall
    return values, precision, 2 * precision * recall / np.where(total > 0, total, 1)


def counted(scores, targets, threshold):
    """Hits, predictions and positives, one sample at a time, compared as Python's floats."""
    pairs = [(float(s), t) for s, t in zip(scores, targets, strict=True) if t != -1]
    predicted = [t for s, t in pairs if s >= threshold]
    return sum(predicted), len(predicted), sum(t for _, t in pairs)


@settings(max_examples=100, deadline=None)
@given(one_class(), st.sampled_from([np.inf, 0.5, 1, 1.5, 2]))
def test_best_f1_equals_the_best_of_the_curve(case, most):
    scores, targets = case
    (threshold,) = best_f1_thresholds(scores[:, None], targets[:, None], most)
    if not (targets == 1).any():
        assert np.isnan(threshold)
        return
    values, _, f1 = curve(scores, targets)
    hits, predicted, positives = counted(scores, targets, threshold)
    allowed = [(scores[targets != -1] >= value).sum() <= most * positives for value in values]
    allowed[-1] = True  # the highest score, however many have it
    best = f1[allowed].max()
    assert 2 * hits / (predicted + positives) == pytest.approx(best, abs=1e-12)
    # of equal ones the highest: fewest predictions
    highest = values[np.flatnonzero(allowed & (f1 >= best - 1e-12))[-1]]
    assert_cuts_at(highest, scores, targets, threshold)


@settings(max_examples=100, deadline=None)
@given(one_class(), st.sampled_from([0.1, 1 / 3, 0.5, 0.6, 0.75, 0.9, 1.0]))
def test_precision_is_the_lowest_that_holds(case, wanted):
    scores, targets = case
    (threshold,) = precision_thresholds(scores[:, None], targets[:, None], wanted)
    if not (targets == 1).any():
        assert np.isnan(threshold)
        return
    values, precision, _ = curve(scores, targets)
    holds = np.flatnonzero(precision >= wanted)
    if not holds.size:
        assert threshold == np.inf
        return
    hits, predicted, _ = counted(scores, targets, threshold)
    assert hits / predicted >= wanted
    assert_cuts_at(values[holds[0]], scores, targets, threshold)


def assert_cuts_at(upper, scores, targets, threshold):
    """``upper`` is the lowest score predicted, and the threshold half way to the next, or to 0."""
    known = scores[targets != -1]
    assert counted(scores, targets, threshold)[1] == (known >= upper).sum()
    lower = max((float(s) for s in known if s < upper), default=0.0)
    assert lower < threshold <= upper or threshold == upper == 0
    # a rounding of the scores' type away from the middle, half of the gap at most
    assert threshold == pytest.approx((float(upper) + lower) / 2, abs=float(np.spacing(upper)))
    # A Python float next to an array takes the array's type: nothing may change by that.
    own = scores >= scores.dtype.type(threshold)
    np.testing.assert_array_equal(own, scores.astype(np.float64) >= threshold)


def test_classes_are_independent():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 20, (200, 7)).astype(np.float32) / 19
    targets = rng.choice([1, 0, -1], (200, 7), p=[0.2, 0.7, 0.1])
    order = rng.permutation(200)
    for fit in (best_f1_thresholds, lambda s, t: precision_thresholds(s, t, 0.3)):
        together = fit(scores, targets)
        alone = [fit(scores[:, [c]], targets[:, [c]])[0] for c in range(7)]
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_array_equal(together, fit(scores[order], targets[order]))
        assert together.dtype == np.float64


def test_by_hand():
    scores = np.array([0.9, 0.8, 0.8, 0.4, 0.2])[:, None]
    targets = np.array([1, 1, 0, 1, 0])[:, None]
    # F1 at 0.9, 0.8, 0.4, 0.2: 2/4, 4/6, 6/7, 6/8
    assert best_f1_thresholds(scores, targets) == pytest.approx([0.3])
    # precision: 1, 2/3, 3/4, 3/5; 3/4 holds again below the 2/3
    assert precision_thresholds(scores, targets, 0.75) == pytest.approx([0.3])
    assert precision_thresholds(scores, targets, 0.76) == pytest.approx([0.85])
    assert precision_thresholds(scores, targets, 0.6) == pytest.approx([0.1])


def test_constant_and_extreme_scores():
    assert best_f1_thresholds(np.full((4, 1), 0.6), [[1], [0], [0], [1]]) == [0.3]
    assert best_f1_thresholds(np.zeros((2, 1)), [[1], [0]]) == [0]
    assert best_f1_thresholds(np.array([[1.0], [1.0], [0.0]]), [[1], [1], [0]]) == [0.5]
    assert best_f1_thresholds(np.array([[1], [0]]), [[1], [0]]) == [0.5]  # whole numbers
    assert np.isnan(best_f1_thresholds(np.empty((0, 3)), np.empty((0, 3)))).all()


@pytest.mark.parametrize('fit', [best_f1_thresholds, lambda s, t: precision_thresholds(s, t, 0.5)])
def test_wrong_arguments(fit):
    with pytest.raises(ValueError, match=r'\(2, 3\) and \(2, 4\)'):
        fit(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r'got 1\.5 for sample 0, class 1: apply the sigmoid'):
        fit(np.array([[0.2, 1.5]]), np.zeros((1, 2)))
    for precision in (0, -0.1, 1.01, float('nan')):
        with pytest.raises(ValueError, match=r'precision must be in \(0, 1\]'):
            precision_thresholds(np.zeros((1, 1)), np.zeros((1, 1)), precision)
