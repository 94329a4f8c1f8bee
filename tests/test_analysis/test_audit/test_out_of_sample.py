"""Scores of images that were not trained on, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mmpretrain_mldecoder.analysis.audit import out_of_sample
from mmpretrain_mldecoder.analysis.audit.out_of_sample import LEAST, out_of_sample_scores

N, FEATURES, STRENGTH = 90, 12, 0.1


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    features = generator.normal(2, 3, (N, FEATURES)).astype(np.float32)
    directions = generator.normal(size=(FEATURES, 3))
    targets = (features @ directions + generator.normal(0, 5, (N, 3)) > 4).astype(np.int8)
    targets[generator.random((N, 3)) < 0.1] = -1
    return features, targets, np.arange(N) % 3


def test_each_fold_is_scored_by_regressions_on_the_others(data, monkeypatch):
    monkeypatch.setattr(out_of_sample, 'STRENGTHS', (STRENGTH,))
    features, targets, folds = data
    scores = out_of_sample_scores(*data)
    for fold in range(3):
        inside, outside = folds == fold, folds != fold
        x = (features - features[outside].mean(0)) / features[outside].std(0, ddof=1)
        for label in range(3):
            known = outside & (targets[:, label] >= 0)
            # ours: sum of losses / images + strength * |w|²; scikit-learn: C * sum + |w|² / 2
            model = LogisticRegression(C=1 / (2 * STRENGTH * outside.sum()), tol=1e-6)
            model.fit(x[known], targets[known, label])
            wanted = model.predict_proba(x[inside])[:, 1]
            np.testing.assert_allclose(scores[inside, label], wanted, atol=2e-3)


def test_labels_of_a_fold_have_no_part_in_its_scores(data, monkeypatch):
    monkeypatch.setattr(out_of_sample, 'STRENGTHS', (STRENGTH,))
    features, targets, folds = data
    other = targets.copy()
    other[folds == 1] = 1 - other[folds == 1].clip(min=0)
    before, after = (out_of_sample_scores(features, each, folds) for each in (targets, other))
    np.testing.assert_array_equal(before[folds == 1], after[folds == 1])
    assert not np.allclose(before[folds != 1], after[folds != 1])


def test_the_strength_is_the_one_that_predicts_best(data, monkeypatch):
    targets = data[1]
    chosen = out_of_sample_scores(*data)

    def loss(scores):
        return -np.log(np.where(targets == 1, scores, 1 - scores)[targets >= 0]).mean()

    losses = {}
    for strength in out_of_sample.STRENGTHS:
        monkeypatch.setattr(out_of_sample, 'STRENGTHS', (strength,))
        losses[strength] = loss(out_of_sample_scores(*data))
    assert loss(chosen) == pytest.approx(min(losses.values()), rel=1e-4)


def test_a_class_with_too_few_labels_is_not_judged(data):
    features, targets, folds = data
    targets[:, 0] = 0
    # one fold has so many of them that the other two are left with too few
    targets[np.flatnonzero(folds == 2)[:9], 0] = 1
    targets[np.flatnonzero(folds == 1)[: LEAST - 1], 0] = 1
    scores = out_of_sample_scores(features, targets, folds)
    assert np.isnan(scores[folds == 2, 0]).all()
    assert not np.isnan(scores[folds != 2]).any()
    assert not np.isnan(scores[:, 1:]).any()


def test_small_features_take_one_thread(monkeypatch):
    """On a busy machine several threads wait for one another, for minutes in place of seconds."""
    threads = []

    def predict(images, targets, others, strength):
        threads.append(torch.get_num_threads())
        return torch.zeros(len(others), targets.shape[1])

    monkeypatch.setattr(out_of_sample, '_predict', predict)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for small in (10, 1000):
            monkeypatch.setattr(out_of_sample, '_SMALL', small)
            arrays = np.zeros((20, 5), np.float32), np.zeros((20, 2)), np.arange(20) % 2
            out_of_sample_scores(*arrays)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    half = len(threads) // 2
    assert threads == [2] * half + [1] * half
