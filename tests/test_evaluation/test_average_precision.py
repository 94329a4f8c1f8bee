"""AP against scikit-learn, torchmetrics, and a loop written here."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torchmetrics.classification import MultilabelAveragePrecision

from mmpretrain_mldecoder.evaluation import MultiLabelMAP, average_precision, class_mean
from mmpretrain_mldecoder.evaluation.functional import MAP_TYPES

# Both sides add up a few hundred float64 fractions in another order.
EXACT = dict(rtol=0, atol=1e-12)


def random_case(seed, num_samples, num_classes, num_levels=None, unknown=0.0, dtype=np.float32):
    """Scores (on ``num_levels`` values if given, so heavily tied) and targets, 30 % positive."""
    rng = np.random.default_rng(seed)
    shape = (num_samples, num_classes)
    scores = rng.random(shape) if num_levels is None else rng.integers(0, num_levels, shape)
    targets = (rng.random(shape) < 0.3).astype(np.int8)
    targets[rng.random(shape) < unknown] = -1
    return scores.astype(dtype), targets


def loop_over_thresholds(scores, targets):
    """One class: lower the threshold from one distinct score to the next; return 11-point AP, and
    the area below the best precision at a recall or a higher one."""
    samples = [(s, t) for s, t in zip(scores.tolist(), targets.tolist(), strict=True) if t != -1]
    positives = sum(t for _, t in samples)
    if positives in (0, len(samples)):
        return float('nan'), float('nan')
    best, hits, retrieved, points = [0.0] * 11, 0, 0, []
    for threshold in sorted({s for s, _ in samples}, reverse=True):
        here = [t for s, t in samples if s == threshold]
        hits, retrieved = hits + sum(here), retrieved + len(here)
        for level in range(11):
            if hits * 10 >= level * positives:
                best[level] = max(best[level], hits / retrieved)
        points.append((hits / positives, hits / retrieved))
    area, before = 0.0, 0.0
    for i, (recall, _) in enumerate(points):
        area += (recall - before) * max(precision for _, precision in points[i:])
        before = recall
    return sum(best) / 11, area


@pytest.mark.parametrize(('num_samples', 'num_classes'), [(40, 1), (256, 64), (600, 150)])
def test_more_classes_and_samples_than_a_tile(num_samples, num_classes):
    scores, targets = random_case(1, num_samples, num_classes, 10)
    targets[0] = 1
    expected = average_precision_score(targets, scores, average=None)
    np.testing.assert_allclose(average_precision(scores, targets), expected, **EXACT)


@pytest.mark.filterwarnings('ignore:No positive samples')
@pytest.mark.parametrize(('num_levels', 'unknown'), [(None, 0.0), (3, 0.4)])
def test_equals_torchmetrics(num_levels, unknown):
    scores, targets = random_case(2, 300, 5, num_levels, unknown)
    if num_levels is not None:
        scores /= num_levels  # torchmetrics takes a sigmoid of what is not in [0, 1]
    targets[targets[:, 3] == 1, 3] = 0  # a class without positives
    ap = average_precision(scores, targets)
    assert np.isnan(ap).tolist() == [False, False, False, True, False]
    # torchmetrics has no nan for that class: it is 0 per class and in the mean.
    ours = dict(none=np.nan_to_num(ap), macro=class_mean(ap, 'zero'))
    for average, value in ours.items():
        metric = MultilabelAveragePrecision(5, average=average, ignore_index=-1)
        for rows in (slice(100), slice(100, None)):
            metric.update(torch.from_numpy(scores[rows]), torch.from_numpy(targets[rows]).long())
        # torchmetrics computes in float32.
        np.testing.assert_allclose(value, metric.compute().numpy(), rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 2, 8]), st.sampled_from([0.0, 0.3]))
def test_interpolated_equals_a_loop_and_the_envelope_is_never_below(seed, num_levels, unknown):
    scores, targets = random_case(seed, 30, 3, num_levels, unknown)
    integral, envelope, points = (average_precision(scores, targets, t) for t in MAP_TYPES)
    loops = [loop_over_thresholds(scores[:, c], targets[:, c]) for c in range(3)]
    np.testing.assert_allclose(np.stack([points, envelope], axis=1), loops, **EXACT)
    assert (np.isnan(integral) | (integral <= envelope + 1e-12)).all()


def test_11point_reaches_recall_levels_exactly():
    for positives in (1, 3, 10, 30, 70):
        # Positives and negatives alternate, so that every recall level is met at one sample.
        targets = np.tile([1, 0], positives)[:, None]
        scores = -np.arange(2.0 * positives)[:, None]
        expected = loop_over_thresholds(scores[:, 0], targets[:, 0])[0]
        np.testing.assert_allclose(average_precision(scores, targets, '11point'), expected, **EXACT)


def test_values_by_hand():
    scores = np.array([[0.9], [0.8], [0.7], [0.6]])
    targets = np.array([[1], [0], [1], [0]])
    # Precision 1 at recall 1/2, then 2/3 at recall 1.
    assert average_precision(scores, targets) == pytest.approx((1 + 2 / 3) / 2)
    # Levels 0 to 0.5 see precision 1, the five above 2/3.
    assert average_precision(scores, targets, '11point') == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_class_without_positives_or_without_negatives_is_nan():
    scores = np.array([[0.9, 0.9, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1, 0.1]])
    targets = np.array([[1, 0, -1, 1, -1], [0, 0, 0, 1, 1]])
    for map_type in MAP_TYPES:
        result = average_precision(scores, targets, map_type)
        np.testing.assert_array_equal(result, [1.0, *[np.nan] * 4])
        result = average_precision(scores, targets, map_type, without_negatives=1.0)
        np.testing.assert_array_equal(result, [1.0, np.nan, np.nan, 1.0, 1.0])
    assert np.isnan(average_precision(np.zeros((0, 2)), np.zeros((0, 2)))).all()


def test_takes_bool_lists_tensors_and_infinite_scores():
    scores, targets = [[np.inf], [0.0], [-np.inf], [0.0]], [[True], [False], [False], [True]]
    expected = average_precision_score(np.array(targets), [[3.0], [2.0], [1.0], [2.0]])
    assert average_precision(scores, targets) == pytest.approx(expected)
    assert average_precision(torch.tensor(scores), torch.tensor(targets)) == pytest.approx(expected)


@st.composite
def cases(draw):
    num_samples, num_classes = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**32 - 1))
    num_levels = draw(st.sampled_from([None, 2, 6]))
    unknown = draw(st.sampled_from([0.0, 0.3]))
    map_type = draw(st.sampled_from(MAP_TYPES))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.float16]))
    case = random_case(seed, num_samples, num_classes, num_levels, unknown, dtype)
    return *case, map_type, seed


@settings(deadline=None, max_examples=60)
@given(cases())
def test_equals_scikit_learn_on_what_is_known(case):
    scores, targets, *_ = case
    expected = np.full(scores.shape[1], np.nan)
    for c in np.flatnonzero((targets == 1).any(axis=0) & (targets == 0).any(axis=0)):
        known = targets[:, c] != -1
        expected[c] = average_precision_score(targets[known, c], scores[known, c])
    np.testing.assert_allclose(average_precision(scores, targets), expected, **EXACT)
    if not np.isnan(expected).all():
        mean_ap = MultiLabelMAP().compute(scores, targets)['mAP']
        assert mean_ap == pytest.approx(100 * np.nanmean(expected), abs=1e-10)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_order_of_samples_and_scale_of_scores_do_not_matter(case):
    scores, targets, map_type, seed = case
    result = average_precision(scores, targets, map_type)
    order = np.random.default_rng(seed).permutation(len(scores))
    again = average_precision(scores[order], targets[order], map_type)
    np.testing.assert_array_equal(result, again)
    bent = np.searchsorted(np.unique(scores), scores) - 5.0  # the same order, other values
    np.testing.assert_array_equal(result, average_precision(bent, targets, map_type))


def test_wrong_arguments():
    for scores, targets, message in (
        (np.zeros((3, 2)), np.zeros((2, 3)), r'same shape .* \(3, 2\) and \(2, 3\)'),
        (np.zeros(3), np.zeros(3), r'same shape .* \(3,\) and \(3,\)'),
        (np.array([[0.0, 1.0], [0.0, np.nan]]), np.zeros((2, 2)), 'sample 1, class 1'),
        (np.zeros((2, 2)), np.array([[0, 1], [2, 0]]), 'got 2 for sample 1, class 0'),
        (np.zeros((2, 2)), np.array([[0, 0.5], [0, 0]]), 'got 0.5 for sample 0, class 1'),
    ):
        with pytest.raises(ValueError, match=message):
            average_precision(scores, targets)
    with pytest.raises(ValueError, match=r"'integral', 'envelope', '11point'.*, got 'voc'"):
        average_precision(np.zeros((1, 1)), np.zeros((1, 1)), 'voc')


def test_class_mean():
    for values, skip, zero in (
        ([0.9, 0.9, np.nan, 0.9, 0.9], 0.9, 0.72),
        ([0.5, 1.0], 0.75, 0.75),
        ([np.nan, np.nan], np.nan, 0.0),
        ([], np.nan, np.nan),
    ):
        assert class_mean(values) == pytest.approx(skip, nan_ok=True)
        assert class_mean(values, 'zero') == pytest.approx(zero, nan_ok=True)


def test_class_mean_leaves_its_input_alone_and_refuses_other_rules():
    values = np.array([1.0, np.nan])
    class_mean(values, 'zero')
    assert np.isnan(values[1])
    with pytest.raises(ValueError, match="'skip' or 'zero', got 'nan'"):
        class_mean(values, 'nan')
