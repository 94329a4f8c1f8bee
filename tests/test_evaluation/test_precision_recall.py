"""CP to OF1 against scikit-learn and counting loops."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from mmpretrain_mldecoder.evaluation import precision_recall_at_threshold, precision_recall_at_topk
from mmpretrain_mldecoder.evaluation.functional import class_f1

# Sums of a few float64 fractions.
EXACT = dict(abs=1e-12, nan_ok=True)


def random_case(seed=0, shape=(60, 8), num_levels=5, unknown=0.0):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, num_levels, shape) / (num_levels - 1)
    targets = (rng.random(shape) < 0.3).astype(np.int8)
    targets[rng.random(shape) < unknown] = -1
    return scores, targets


def by_counting(predictions, targets, missing_class):
    """The six numbers, one label at a time."""
    num_classes = targets.shape[1]
    hits, predicted, positives = ([0] * num_classes for _ in range(3))
    for sample in range(len(targets)):
        for c in range(num_classes):
            if targets[sample, c] == -1:
                continue
            positives[c] += targets[sample, c] == 1
            predicted[c] += bool(predictions[sample, c])
            hits[c] += bool(predictions[sample, c]) and targets[sample, c] == 1
    counted = [c for c in range(num_classes) if positives[c] or missing_class == 'zero']
    cp = sum(hits[c] / predicted[c] if predicted[c] else 0 for c in counted) / len(counted)
    cr = sum(hits[c] / positives[c] if positives[c] else 0 for c in counted) / len(counted)
    op, orr = sum(hits) / sum(predicted), sum(hits) / sum(positives)
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in ((cp, cr), (op, orr))]
    return dict(CP=cp, CR=cr, CF1=f1[0], OP=op, OR=orr, OF1=f1[1])


@pytest.mark.parametrize('thr', [0.25, 0.9])
def test_threshold_equals_scikit_learn(thr):
    scores, targets = random_case()
    targets[:, 2] = 0  # a class without positives, which scikit-learn counts as 0
    predictions = scores >= thr
    result = precision_recall_at_threshold(scores, targets, thr, missing_class='zero')
    for name, average in (('C', 'macro'), ('O', 'micro')):
        kwargs = dict(average=average, zero_division=0)
        assert result[f'{name}P'] == pytest.approx(precision_score(targets, predictions, **kwargs))
        assert result[f'{name}R'] == pytest.approx(recall_score(targets, predictions, **kwargs))
    assert result['OF1'] == pytest.approx(f1_score(targets, predictions, average='micro'))


@pytest.mark.parametrize('missing_class', ['skip', 'zero'])
@pytest.mark.parametrize('thr', [0.5, np.linspace(0, 1, 8)], ids=['one', 'per class'])
def test_threshold_equals_counting(missing_class, thr):
    scores, targets = random_case(1, unknown=0.4)
    targets[:, 5] = np.minimum(targets[:, 5], 0)  # no positives
    scores[:, 6] = 0  # never predicted
    result = precision_recall_at_threshold(scores, targets, thr, missing_class)
    assert result == pytest.approx(by_counting(scores >= thr, targets, missing_class), **EXACT)


def test_class_f1_equals_scikit_learn():
    scores, targets = random_case(4, unknown=0.2)
    targets[:, 2] = np.minimum(targets[:, 2], 0)  # no positives
    scores[:, 3] = 0  # never predicted
    result = class_f1(scores >= 0.5, targets)
    known = targets != -1
    expected = [
        f1_score(targets[known[:, c], c], scores[known[:, c], c] >= 0.5, zero_division=0)
        for c in range(8)
    ]
    expected[2] = np.nan
    assert result == pytest.approx(np.array(expected), **EXACT)


@pytest.mark.parametrize('topk', [1, 3, 8])
@pytest.mark.parametrize('missing_class', ['skip', 'zero'])
def test_topk_equals_counting(topk, missing_class):
    scores, targets = random_case(2, unknown=0.4)  # 8 classes on 5 levels: always tied
    predictions = np.zeros(targets.shape, dtype=bool)
    for sample in range(len(scores)):
        ranked = sorted(range(8), key=lambda c: (-scores[sample, c], c))
        predictions[sample, ranked[:topk]] = True
    result = precision_recall_at_topk(scores, targets, topk, missing_class)
    assert result == pytest.approx(by_counting(predictions, targets, missing_class), **EXACT)


def test_without_positives_or_predictions():
    scores, targets = np.full((3, 2), 0.9), np.zeros((3, 2))
    nothing_to_find = precision_recall_at_threshold(scores, targets)
    assert nothing_to_find == pytest.approx(dict.fromkeys(nothing_to_find, np.nan), nan_ok=True)
    assert set(precision_recall_at_threshold(scores, targets, 0.5, 'zero').values()) == {0.0}
    nothing_predicted = precision_recall_at_threshold(scores, np.ones((3, 2)), thr=0.95)
    assert set(nothing_predicted.values()) == {0.0}


@pytest.mark.parametrize('function', [precision_recall_at_threshold, precision_recall_at_topk])
def test_wrong_arguments(function):
    with pytest.raises(ValueError, match=r'\(2, 3\) and \(2, 4\)'):
        function(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="'skip' or 'zero'"):
        function(np.zeros((2, 3)), np.zeros((2, 3)), missing_class='drop')
    for topk in (0, 9, -1):
        with pytest.raises(ValueError, match=rf'topk must be in \[1, 8\].* got {topk}'):
            precision_recall_at_topk(*random_case(), topk)
