import numpy as np
import pytest
import sklearn.metrics
from prediction_dumps import random_run

from mmpretrain_mldecoder.analysis.report import numbers
from mmpretrain_mldecoder.analysis.report.numbers import (
    THRESHOLDS,
    count_scores,
    find_confusions,
    frequency_thirds,
    precision_recall_curve,
    series_numbers,
)
from mmpretrain_mldecoder.evaluation import MultiLabelMAP, object_size_mask


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('steps', [None, 100, 7])
def test_counts_follow_the_metrics_rule(dtype, steps):
    """Scores on the grid tie with the thresholds: there they count as predicted."""
    scores, targets = random_run(600, 5, steps=steps)
    scores = np.round(scores * steps).astype(dtype) / steps if steps else scores.astype(dtype)
    scores[:3] = [[0], [1], [0.29]]
    targets[5:9, 2] = -1
    positives, negatives = count_scores(scores, targets)
    for k, thr in enumerate(THRESHOLDS.tolist()):
        predicted = scores >= thr
        assert positives[:, k:].sum(1).tolist() == (predicted & (targets == 1)).sum(0).tolist()
        assert negatives[:, k:].sum(1).tolist() == (predicted & (targets == 0)).sum(0).tolist()


@pytest.mark.parametrize('steps', [None, 20])
def test_curve_is_scikit_learns(steps):
    scores, targets = random_run(400, 1, steps=steps)
    scores, targets = scores[:, 0], targets[:, 0]
    curve = precision_recall_curve(scores, targets, max_points=1000)
    precision, recall, thr = sklearn.metrics.precision_recall_curve(targets, scores)
    theirs = {round(float(t), 6): (p, r) for t, p, r in zip(thr, precision, recall, strict=False)}
    assert len(curve['thr']) == len(np.unique(scores[targets == 1]))
    for t, p, r in zip(curve['thr'], curve['precision'], curve['recall'], strict=True):
        # Written with three decimals.
        assert (p / 100, r / 100) == pytest.approx(theirs[t], abs=1e-5)
    assert curve['recall'][-1] == 100
    empty = precision_recall_curve(np.array([0.1, 0.2]), np.array([0, -1]))
    assert empty == dict(recall=[], precision=[], thr=[])


def test_thinned_curve_keeps_its_ends():
    scores, targets = random_run(2000, 1)
    whole = precision_recall_curve(scores.ravel(), targets.ravel(), max_points=10_000)
    thin = precision_recall_curve(scores.ravel(), targets.ravel())
    assert len(thin['thr']) == 120 < len(whole['thr'])
    assert set(thin['thr']) <= set(whole['thr'])
    for key in thin:
        assert (thin[key][0], thin[key][-1]) == (whole[key][0], whole[key][-1])


def test_thirds_by_hand():
    positives = np.array([9, 0, 1, 5, 2, 5, 7, 3])
    ap = np.array([0.9, np.nan, 0.1, 0.5, 0.2, 0.6, 0.7, 0.3])
    rare, medium, common = frequency_thirds(positives, ap)
    assert rare == dict(name='rare', classes=3, fewest=1, most=3, mAP=pytest.approx(20))
    assert medium == dict(name='medium', classes=2, fewest=5, most=5, mAP=pytest.approx(55))
    assert common == dict(name='common', classes=2, fewest=7, most=9, mAP=pytest.approx(80))


def test_numbers_are_the_metrics():
    scores, targets = random_run(200, 6)
    targets[:, 5] = 0
    random = np.random.default_rng(1)
    masks = np.stack(
        [
            object_size_mask(labels, random.choice([100.0, 5000, 20000], len(labels)), 6)
            for labels in map(np.flatnonzero, targets)
        ]
    )
    shown = series_numbers('EMA', scores, targets, masks)
    metrics = MultiLabelMAP(by_size=True).compute(scores, targets, masks)
    assert shown['mAP'] == pytest.approx(metrics['mAP'], abs=1e-5)
    for size in shown['sizes']:
        assert size['mAP'] == pytest.approx(metrics[f'mAP_{size["name"]}'], abs=1e-5)
    for label in range(5):
        ap = sklearn.metrics.average_precision_score(targets[:, label], scores[:, label])
        assert shown['ap'][label] == pytest.approx(100 * ap, abs=1e-5)
    assert shown['ap'][5] is None
    assert series_numbers('EMA', scores, targets, None)['sizes'] == []


def test_confusions_by_hand():
    """Of 8 cats without a dog 4 are taken for dogs; two dogs are reported beside found cats."""
    targets = np.zeros((20, 3), np.int8)
    targets[:8, 0] = 1  # cat
    targets[8:12, 1] = 1  # dog
    scores = np.where(targets, 0.9, 0.1).astype(np.float32)
    scores[:4, 0], scores[:4, 1] = 0.2, 0.8
    scores[4:6, 1] = 0.5  # a score equal to the threshold is a report
    found = find_confusions(scores, targets, ['cat', 'dog', 'cow'])
    (pair,) = found['pairs']
    # All 8 cats are without a dog; 4 of 8 are missed, 6 of 16 images without a dog report one.
    assert pair == dict(missed='cat', reported='dog', count=4, expected=8 * 4 / 8 * 6 / 16)
    assert (found['missed'], found['reported']) == (['cat'], ['dog'])
    assert (found['count'], found['expected']) == ([[4]], [[1.5]])


def test_confusions_by_loops():
    scores, targets = random_run(300, 6)
    targets[7, 1] = -1
    names = [f'c{i}' for i in range(6)]
    found = find_confusions(scores, targets, names, thr=0.4)
    assert found['pairs']
    for pair in found['pairs']:
        i, j = names.index(pair['missed']), names.index(pair['reported'])
        both = [
            bool(s[i] < np.float32(0.4) and t[i] == 1 and s[j] >= np.float32(0.4) and t[j] == 0)
            for s, t in zip(scores, targets, strict=True)
        ]
        assert pair['count'] == sum(both) > pair['expected']


def test_no_errors_and_many_classes(monkeypatch):
    targets = np.eye(4, dtype=np.int8)
    found = find_confusions(targets.astype(np.float32), targets, list('abcd'))
    assert found['pairs'] == found['missed'] == found['count'] == found['expected'] == []
    monkeypatch.setattr(numbers, 'MAX_CANDIDATES', 8)
    scores, targets = random_run(400, 40)
    found = find_confusions(scores, targets, [str(i) for i in range(40)])
    assert found['candidates'] == [8, 8]
    assert np.shape(found['count']) == (len(found['missed']), len(found['reported']))
    assert len(found['pairs']) <= 15 and len(found['missed']) <= 8
