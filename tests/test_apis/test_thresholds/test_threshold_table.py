import numpy as np
from rich.cells import cell_len

from mmpretrain_mldecoder.apis.thresholds.threshold_table import (
    gain_table,
    remarks,
    threshold_table,
)
from mmpretrain_mldecoder.apis.thresholds.tuned_thresholds import TunedThresholds

TUNED = TunedThresholds(
    classes=['红绿灯', 'toaster', 'unicorn', 'x-ray'],
    criterion='precision>=0.9',
    values=np.array([0.75, 0.125, 0.5, 1.0]),
    positives=np.array([1234, 3, 0, 40]),
    without_positives=np.array([False, False, True, False]),
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


def test_one_line_a_class_aligned():
    header, *lines = threshold_table(TUNED).splitlines()
    assert [line.split() for line in lines] == [
        ['红绿灯', '0.7500', '1234', '87.5', '50.0', '62.5', '+12.5'],
        ['toaster', '0.1250', '3', '75.0', '0.0', '25.0', '+25.0', 'rare'],
        ['unicorn', '0.5000', '0', '0.0', '-', '-', '-', 'no', 'positives'],
        ['x-ray', '1.0000', '40', '-', '40.0', '10.0', '-30.0', 'precision', 'not', 'reached'],
    ]
    end = cell_len(header[: header.index('threshold')] + 'threshold')
    for line, value in zip(lines, TUNED.values, strict=True):
        assert cell_len(line[: line.index(f'{value:.4f}')] + f'{value:.4f}') == end


def test_precision_is_shown_where_it_was_wanted():
    of_f1 = TunedThresholds(**vars(TUNED) | dict(criterion='f1'))
    assert 'precision' in threshold_table(TUNED).splitlines()[0]
    assert 'precision' not in threshold_table(of_f1).splitlines()[0]


def test_mean_and_deviation_over_folds():
    lines = [line.split() for line in gain_table(TUNED).splitlines()[1:]]
    assert lines[0] == ['CF1', '60.00', '±', '14.14', '60.00', '±', '0.00', '+0.00', '±', '14.14']
    assert lines[1] == ['OF1', '50.00', '±', '0.00', '60.00', '±', '0.00', '+10.00', '±', '0.00']
    assert lines[2] == ['macro', 'F1', '-', '-', '-']
    assert [line[0] for line in lines[3:]] == ['CP', 'CR', 'OP', 'OR']


def test_classes_are_counted_and_named():
    first, *others = remarks(TUNED)
    assert 'fitted to the other 1 of 2 folds' in first and 'not reported' in first
    assert others == [
        '1 of 4 classes without positives, threshold 0.5: unicorn.',
        '1 of 4 classes never with precision>=0.9, threshold 1.0 (not predicted): x-ray.',
        '1 of 4 classes with fewer than 20 positives, marked rare: shaky thresholds: toaster.',
    ]
    scarce = TunedThresholds(**vars(TUNED) | dict(positives=np.array([50, 1, 0, 40])))
    assert remarks(scarce)[-1].startswith('1 of 4 classes with fewer positives than folds: ')
