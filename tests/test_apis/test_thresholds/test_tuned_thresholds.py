"""Cross-validation against loops that fit and score each fold by scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from sklearn.metrics import f1_score, precision_score, recall_score

from mmpretrain_mldecoder.apis import TunedThresholds, threshold_report, tune_thresholds
from mmpretrain_mldecoder.apis.thresholds.tuned_thresholds import remarks
from mmpretrain_mldecoder.evaluation.functional import best_f1_thresholds, precision_thresholds

CLASSES = ['ant', 'bee', 'cat']


def useful_scores(size=300):
    """Scores that rank well, and of which 0.5 is not the best threshold."""
    rng = np.random.default_rng(0)
    targets = (rng.random((size, 3)) < [0.3, 0.2, 0.4]).astype(np.int8)
    scores = np.clip(rng.normal(0.45 + 0.3 * targets, 0.15), 0, 1)
    return scores.astype(np.float32), targets


@pytest.mark.parametrize('precision', [None, 0.8])
def test_every_fold_is_predicted_by_the_others(precision):
    scores, targets = useful_scores()
    tuned = tune_thresholds(scores, targets, CLASSES, precision, num_folds=4, seed=3)
    fold_of = np.random.default_rng(3).permutation(300) % 4
    predictions = np.zeros(targets.shape, bool)
    for fold in range(4):
        out = fold_of == fold
        rest = scores[~out], targets[~out]
        thr = precision_thresholds(*rest, precision) if precision else best_f1_thresholds(*rest)
        predictions[out] = scores[out] >= thr
        for column, predicted in enumerate((scores[out] >= 0.5, predictions[out])):
            cp, cr = (
                score(targets[out], predicted, average='macro', zero_division=0)
                for score in (precision_score, recall_score)
            )
            expected = {
                'CP': cp,
                'CR': cr,
                'OP': precision_score(targets[out], predicted, average='micro'),
                'OR': recall_score(targets[out], predicted, average='micro'),
                'CF1': 2 * cp * cr / (cp + cr),
                'OF1': f1_score(targets[out], predicted, average='micro'),
                'macro F1': f1_score(targets[out], predicted, average='macro', zero_division=0),
            }
            for name, value in expected.items():
                assert tuned.fold_scores[name][fold, column] == pytest.approx(value), name
    for column, predicted in enumerate((scores >= 0.5, predictions)):
        expected = [f1_score(targets[:, c], predicted[:, c]) for c in range(3)]
        np.testing.assert_allclose(tuned.class_scores[:, column], expected)
        expected = [precision_score(targets[:, c], predicted[:, c]) for c in range(3)]
        np.testing.assert_allclose(tuned.class_precision[:, column], expected)
    fitted = best_f1_thresholds(scores, targets)
    if precision:
        fitted = precision_thresholds(scores, targets, precision)
    np.testing.assert_array_equal(tuned.values, fitted)
    assert tuned.criterion == ('precision>=0.8' if precision else 'f1')
    assert tuned.positives.tolist() == targets.sum(axis=0).tolist()


def test_classes_with_hardly_a_positive():
    scores, targets = useful_scores(50)
    targets[:, 0] = 0
    targets[:, 1] = 0
    targets[7, 1], scores[7, 1] = 1, 0.9
    targets[:, 2] = np.where(targets[:, 2] == 0, -1, 1)  # no known negative
    tuned = tune_thresholds(scores, targets, CLASSES)
    assert tuned.without_positives.tolist() == [True, False, False]
    assert tuned.without_negatives.tolist() == [False, False, True]
    assert tuned.values[0] == 0.5 and np.isnan(tuned.class_scores[0]).all()
    # held out, the only positive is predicted at 0.5, as nothing could be fitted without it
    assert tuned.class_scores[1, 1] > 0
    assert np.isfinite(tuned.class_scores[1:]).all()


def test_precision_that_no_threshold_has():
    scores, targets = useful_scores(50)
    scores[0, 1], targets[0, 1] = 0.999, 0
    targets[1:, 1] = 0
    targets[1, 1] = 1
    tuned = tune_thresholds(scores, targets, CLASSES, precision=0.9)
    assert tuned.unreachable.tolist() == [False, True, False]
    assert tuned.values[1] == 1


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(num_folds=1), 'at least 2 folds, got 1'),
        (dict(num_folds=301), '300 images cannot be split into 301 folds'),
        (dict(classes=['ant']), '1 class names for scores of shape'),
        (dict(precision=2), 'precision must be in'),
    ],
)
def test_wrong_arguments(changes, message):
    scores, targets = useful_scores()
    with pytest.raises(ValueError, match=message):
        tune_thresholds(**dict(scores=scores, targets=targets, classes=CLASSES) | changes)


TUNED = TunedThresholds(
    classes=['红绿灯', 'toaster', 'unicorn', 'x-ray'],
    criterion='precision>=0.9',
    values=np.array([0.75, 0.125, 0.5, 1.0]),
    positives=np.array([1234, 3, 0, 40]),
    without_positives=np.array([False, False, True, False]),
    without_negatives=np.array([False, True, True, False]),
    unreachable=np.array([False, False, False, True]),
    fold_scores={
        'CF1': np.array([[0.5, 0.6], [0.7, 0.6]]),
        'OF1': np.array([[0.5, 0.6], [0.5, 0.6]]),
        'macro F1': np.full((2, 2), np.nan),
        **dict.fromkeys(('CP', 'CR', 'OP', 'OR'), np.full((2, 2), 0.25)),
    },
    class_scores=np.array([[0.5, 0.625], [0, 0.25], [np.nan, np.nan], [0.4, 0.1]]),
    class_precision=np.array([[0.5, 0.875], [0.5, 0.75], [np.nan, 0], [0.5, np.nan]]),
)


def printed(tuned: TunedThresholds) -> list[str]:
    console = Console(width=110, color_system=None)
    with console.capture() as capture:
        console.print(threshold_report(tuned))
    return capture.get().splitlines()


def test_one_line_per_class_aligned():
    header, *lines = printed(TUNED)[:5]
    assert [line.split() for line in lines] == [
        ['红绿灯', '0.7500', '1234', '87.5', '50.0', '62.5', '+12.5'],
        ['toaster', '0.1250', '3', '75.0', '0.0', '25.0', '+25.0', 'rare'],
        ['unicorn', '0.5000', '0', '0.0', '-', '-', '-', 'no', 'positives'],
        ['x-ray', '1.0000', '40', '-', '40.0', '10.0', '-30.0', 'precision', 'not', 'reached'],
    ]
    end = cell_len(header[: header.index('threshold')] + 'threshold')
    for line, value in zip(lines, TUNED.values, strict=True):
        assert cell_len(line[: line.index(f'{value:.4f}')] + f'{value:.4f}') == end
    of_f1 = replace(TUNED, criterion='f1')
    assert 'precision' in header and 'precision' not in printed(of_f1)[0]


def test_names_are_no_markup():
    named = replace(TUNED, classes=['[red]', ':dog:', 'a\x1b[2J', 'x' * 200])
    lines = printed(named)
    assert [line.split()[0] for line in lines[1:4]] == ['[red]', ':dog:', r'a\x1b[2J']
    assert any(line.split()[1:3] == ['1.0000', '40'] for line in lines)  # beside a folded name


def test_mean_and_deviation_over_folds():
    lines = [line.split() for line in printed(TUNED)[7:]]
    assert lines[0] == ['CF1', '60.00', '±', '14.14', '60.00', '±', '0.00', '+0.00', '±', '14.14']
    assert lines[1] == ['OF1', '50.00', '±', '0.00', '60.00', '±', '0.00', '+10.00', '±', '0.00']
    assert lines[2] == ['macro', 'F1', '-', '-', '-']
    assert [line[0] for line in lines[3:7]] == ['CP', 'CR', 'OP', 'OR']


def test_classes_are_counted_and_named():
    first, *others = remarks(TUNED)
    assert 'fitted to the other 1 of 2 folds' in first and 'not reported' in first
    assert others == [
        '1 of 4 classes without positives, threshold 0.5: unicorn.',
        '1 of 4 classes without a known negative, where any low threshold is right: toaster.',
        '1 of 4 classes never with precision>=0.9, threshold 1.0 (not predicted): x-ray.',
        '1 of 4 classes with fewer than 20 positives, marked rare: their thresholds are '
        'unreliable: toaster.',
    ]
    scarce = replace(TUNED, positives=np.array([50, 1, 0, 40]))
    assert remarks(scarce)[-1].startswith('1 of 4 classes with fewer positives than folds: ')
