import numpy as np
import pytest
from prediction_dumps import random_run

from mmpretrain_mldecoder.analysis.report import confusions as mix_ups
from mmpretrain_mldecoder.analysis.report.confusions import find_mix_ups


def test_counts_by_hand():
    """Of 8 cats without a dog 4 are taken for dogs; two dogs are reported beside found cats."""
    targets = np.zeros((20, 3), np.int8)
    targets[:8, 0] = 1  # cat
    targets[8:12, 1] = 1  # dog
    scores = np.where(targets, 0.9, 0.1).astype(np.float32)
    scores[:4, 0], scores[:4, 1] = 0.2, 0.8
    scores[4:6, 1] = 0.5  # a score equal to the threshold is a report
    found = find_mix_ups(scores, targets, ['cat', 'dog', 'cow'])
    (pair,) = found['pairs']
    # All 8 cats are without a dog; 4 of 8 are missed, 6 of 16 images without a dog report one.
    assert pair == dict(missed='cat', reported='dog', count=4, expected=8 * 4 / 8 * 6 / 16)
    assert (found['missed'], found['reported']) == (['cat'], ['dog'])
    assert (found['count'], found['expected']) == ([[4]], [[1.5]])


def test_counts_by_loops():
    scores, targets = random_run(300, 6)
    targets[7, 1] = -1
    names = [f'c{i}' for i in range(6)]
    found = find_mix_ups(scores, targets, names, thr=0.4)
    assert found['pairs']
    for pair in found['pairs']:
        i, j = names.index(pair['missed']), names.index(pair['reported'])
        both = [
            bool(s[i] < np.float32(0.4) and t[i] == 1 and s[j] >= np.float32(0.4) and t[j] == 0)
            for s, t in zip(scores, targets, strict=True)
        ]
        assert pair['count'] == sum(both) > pair['expected']


def test_independent_mistakes_are_as_many_as_expected():
    """Over many images chance and count agree, though labels come together."""
    random = np.random.default_rng(0)
    first = random.random(200_000) < 0.4
    second = np.where(first, random.random(200_000) < 0.6, random.random(200_000) < 0.1)
    targets = np.stack([first, second], axis=1).astype(np.int8)
    scores = random.random(targets.shape).astype(np.float32)
    found = find_mix_ups(scores, targets, ['a', 'b'], thr=0.7)
    expected = 200_000 * 0.4 * 0.4 * 0.7 * 0.3
    for i, missed in enumerate(found['missed']):
        for j, reported in enumerate(found['reported']):
            if (missed, reported) == ('a', 'b'):
                assert found['count'][i][j] == pytest.approx(expected, rel=0.03)
                assert found['expected'][i][j] == pytest.approx(expected, rel=0.03)


def test_no_mistakes():
    targets = np.eye(4, dtype=np.int8)
    found = find_mix_ups(targets.astype(np.float32), targets, list('abcd'))
    assert found['pairs'] == found['missed'] == found['count'] == []


def test_many_classes_are_limited(monkeypatch):
    monkeypatch.setattr(mix_ups, 'MAX_CANDIDATES', 8)
    scores, targets = random_run(400, 40)
    found = find_mix_ups(scores, targets, [str(i) for i in range(40)])
    assert found['candidates'] == [8, 8]
    assert np.shape(found['count']) == (len(found['missed']), len(found['reported']))
    assert len(found['pairs']) <= 15 and len(found['missed']) <= 8
