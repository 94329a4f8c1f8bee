"""Cross-validation against loops that fit and score each fold by scikit-learn."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from rich.cells import cell_len
from rich.console import Console
from sklearn.metrics import f1_score, precision_score, recall_score
from tiny_run import assert_equal

from mmpretrain_mldecoder.apis import (
    TunedThresholds,
    store_thresholds,
    stored_thresholds,
    threshold_report,
    tune_thresholds,
)
from mmpretrain_mldecoder.apis.thresholds import remarks
from mmpretrain_mldecoder.checkpoints.load import load_weights_only
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
        thr = precision_thresholds(*rest, precision) if precision else best_f1_thresholds(*rest, 2)
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
    fitted = best_f1_thresholds(scores, targets, 2)
    if precision:
        fitted = precision_thresholds(scores, targets, precision)
    np.testing.assert_array_equal(tuned.values, fitted)
    assert tuned.criterion == ('precision>=0.8' if precision else 'f1')
    assert tuned.positives.tolist() == targets.sum(axis=0).tolist()


@pytest.mark.parametrize('precision', [None, 0.5])
def test_rare_classes_share_the_threshold_of_their_scores_together(precision):
    rng = np.random.default_rng(1)
    counts = [0, 3, 6, 60, 100]
    targets = rng.permuted(np.arange(200)[:, None] < counts, axis=0).astype(np.int8)
    scores = np.clip(rng.normal(0.3 + 0.2 * targets, 0.15), 0, 1).astype(np.float32)
    tuned = tune_thresholds(scores, targets, list('abcde'), precision)
    assert tuned.rare.tolist() == [True, True, True, False, False]
    # Together they have too few positives: the next frequent class is in, too.
    pool = scores[:, :4].ravel(), targets[:, :4].ravel()
    assert targets[:, :3].sum() < 20 <= targets[:, :4].sum()
    found = max(  # of all scores, by scikit-learn
        (f1_score(pool[1], pool[0] >= value), value) for value in np.unique(pool[0])
    )[1] if precision is None else min(
        value
        for value in np.unique(pool[0])
        if precision_score(pool[1], pool[0] >= value) >= precision
    )  # fmt: skip
    assert len({*tuned.values[:3]}) == 1
    assert (pool[0] >= tuned.values[0]).sum() == (pool[0] >= found).sum()
    assert len({*tuned.values[2:]}) == 3


def test_scores_that_tell_nothing_are_not_predicted_everywhere():
    """The best F1 of a class that scores do not tell is that of predicting it everywhere."""
    rng = np.random.default_rng(0)
    targets = (rng.random((500, 1)) < 0.1).astype(np.int8)
    scores = (1 + rng.random((500, 1)) - targets).astype(np.float32) / 2  # all wrong
    assert (scores >= best_f1_thresholds(scores, targets)).all()
    tuned = tune_thresholds(scores, targets, ['ant'])
    assert (scores >= tuned.values).sum() <= 2 * targets.sum()


def test_classes_with_hardly_a_positive():
    scores, targets = useful_scores(50)
    targets[:, 0] = 0
    targets[:, 1] = 0
    targets[7, 1], scores[7, 1] = 1, 0.9
    targets[:, 2] = np.where(targets[:, 2] == 0, -1, 1)  # no known negative
    tuned = tune_thresholds(scores, targets, CLASSES)
    assert tuned.without_negatives.tolist() == [False, False, True]
    assert np.isnan(tuned.class_scores[0]).all() and np.isfinite(tuned.class_scores[1:]).all()
    nothing = tune_thresholds(scores, np.minimum(targets, 0), CLASSES)
    assert nothing.rare.all() and (nothing.values == 0.5).all()


def test_precision_that_no_threshold_has():
    scores, targets = useful_scores()
    scores[targets[:, 1] == 1, 1] = 0.1
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
    values=np.array([0.75, 0.125, 0.125, 1.0]),
    positives=np.array([1234, 3, 0, 40]),
    rare=np.array([False, True, True, False]),
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
    header, *lines = printed(TUNED)[:4]
    assert [line.split() for line in lines] == [
        ['红绿灯', '0.7500', '1234', '87.5', '50.0', '62.5', '+12.5'],
        ['x-ray', '1.0000', '40', '-', '40.0', '10.0', '-30.0', 'precision', 'not', 'reached'],
        ['2', 'rare', 'classes', '0.1250', '3', '37.5', '0.0', '25.0', '+25.0'],
    ]
    end = cell_len(header[: header.index('threshold')] + 'threshold')
    for line, value in zip(lines, (0.75, 1.0, 0.125), strict=True):
        assert cell_len(line[: line.index(f'{value:.4f}')] + f'{value:.4f}') == end
    of_f1 = replace(TUNED, criterion='f1')
    assert 'precision' in header and 'precision' not in printed(of_f1)[0]


def test_names_are_no_markup():
    named = replace(TUNED, classes=['[red]', ':dog:', 'a\x1b[2J', 'x' * 200], rare=TUNED.values < 0)
    lines = printed(named)
    assert [line.split()[0] for line in lines[1:4]] == ['[red]', ':dog:', r'a\x1b[2J']
    assert any(line.split()[1:3] == ['1.0000', '40'] for line in lines)  # beside a folded name


def test_mean_and_deviation_over_folds():
    lines = [line.split() for line in printed(TUNED)[6:]]
    assert lines[0] == ['CF1', '60.00', '±', '14.14', '60.00', '±', '0.00', '+0.00', '±', '14.14']
    assert lines[1] == ['OF1', '50.00', '±', '0.00', '60.00', '±', '0.00', '+10.00', '±', '0.00']
    assert lines[2] == ['macro', 'F1', '-', '-', '-']
    assert [line[0] for line in lines[3:7]] == ['CP', 'CR', 'OP', 'OR']


def test_classes_are_counted_and_named():
    first, *others = remarks(TUNED)
    assert 'fitted to the other 1 of 2 folds' in first and 'not reported' in first
    assert [line.partition(' classes ')[0] for line in others] == [
        '2 of 4',
        '1 of 4',
        '2 of 4',
        '1 of 4',
    ]
    assert others[0].endswith(': toaster, unicorn.') and 'without positives: unicorn.' in others[1]
    assert others[3].endswith('never with precision>=0.9, threshold 1.0 (not predicted): x-ray.')


# ---- in a checkpoint

STORED = dict(classes=['ant', 'bee'], values=[0.25, 0.75], criterion='f1', split='val')


@pytest.fixture
def checkpoint(tmp_path):
    """What MMEngine writes, its log histories included."""
    layer = torch.nn.BatchNorm2d(3)
    optimizer = torch.optim.Adam(layer.parameters())
    content = dict(
        meta=dict(epoch=3, dataset_meta=dict(classes=('ant', 'bee')), cfg='a = 1'),
        state_dict=layer.state_dict(),
        ema_state_dict={'steps': torch.tensor(3), 'module.weight': torch.rand(3).half()},
        optimizer=optimizer.state_dict(),
        message_hub=dict(
            log_scalars={'train/loss': HistoryBuffer([1.0, 0.5], [1, 1])},
            runtime_info={'best': np.float64(0.5)},
        ),
    )
    torch.save(content, tmp_path / 'a.pth')
    return tmp_path / 'a.pth'


@pytest.mark.parametrize('out', [None, 'b.pth'])
def test_all_else_stays(checkpoint, tmp_path, out):
    before, bytes_before = load_weights_only(checkpoint), checkpoint.read_bytes()
    written = store_thresholds(checkpoint, STORED, out and tmp_path / out)
    after = load_weights_only(written)
    assert after['meta'].pop('thresholds') == STORED
    assert_equal(before, after)
    assert before['state_dict']._metadata == after['state_dict']._metadata
    assert written == tmp_path / (out or 'a.pth')
    assert out is None or checkpoint.read_bytes() == bytes_before
    assert not list(tmp_path.glob('.*'))


def test_stored_again_through_a_link(checkpoint, tmp_path):
    link = tmp_path / 'best.pth'
    link.symlink_to(checkpoint)
    store_thresholds(checkpoint, STORED | dict(values=[0.1, 0.2]))
    store_thresholds(link, STORED)
    assert link.is_symlink()
    thresholds = stored_thresholds(load_weights_only(checkpoint)['meta'], ('ant', 'bee'))
    np.testing.assert_array_equal(thresholds, [0.25, 0.75])
    assert thresholds.dtype == np.float64


@pytest.mark.parametrize(
    'content', [dict(state_dict={}), dict(state_dict={}, meta=None), [torch.zeros(1)]]
)
def test_no_checkpoint_of_a_training(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth is no checkpoint of a training'):
        store_thresholds(tmp_path / 'a.pth', STORED)


def test_addresses_and_folders(checkpoint, tmp_path):
    with pytest.raises(ValueError, match='is an address: download'):
        store_thresholds('https://example.com/a.pth', STORED)
    with pytest.raises(FileNotFoundError):
        store_thresholds(tmp_path / 'absent.pth', STORED)
    with pytest.raises(FileNotFoundError, match='no folder'):
        store_thresholds(checkpoint, STORED, tmp_path / 'absent' / 'b.pth')
    with pytest.raises(ValueError, match='is a folder'):
        store_thresholds(checkpoint, STORED, tmp_path)


@pytest.mark.parametrize('read_only', ['a.pth', '.'])
def test_read_only(checkpoint, tmp_path, monkeypatch, read_only):
    """The check is asked, as an administrator may write to any file."""
    refused = (tmp_path / read_only).resolve()
    monkeypatch.setattr(os, 'access', lambda path, mode: path != refused)
    with pytest.raises(PermissionError, match='is read-only: name another file'):
        store_thresholds(checkpoint, STORED)
    (tmp_path / 'mine').mkdir()
    assert store_thresholds(checkpoint, STORED, tmp_path / 'mine/a.pth').is_file()


def test_without_any_and_other_forms():
    for nothing in ({}, dict(thresholds=None), None):
        with pytest.raises(ValueError, match=r'no thresholds .* tools/analysis_tools/tune_thres'):
            stored_thresholds(nothing, CLASSES)
    for stored in ([0.1, 0.2, 0.3], 0.5, dict()):
        with pytest.raises(ValueError, match='not a dict with lists'):
            stored_thresholds(dict(thresholds=stored), CLASSES)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(classes=[], values=[]), 'not a dict with lists'),
        (dict(classes=CLASSES[:2], values=[0, 1]), 'has 2 classes and the model 3'),
        (dict(classes=['ant', 'cat', 'bee']), "class 1 is 'cat' in .* and 'bee' in the model"),
        (dict(classes='ant'), 'not a dict with lists'),
        (dict(values=torch.tensor([0.1, 0.2, 0.3])), 'not a dict with lists'),
        (dict(values=[0.1, 0.2]), '2 thresholds for 3 classes'),
        (dict(values=[0.1, 0.2, 1.01]), r"class 'cat' .* number in \[0, 1\], but is 1\.01"),
        (dict(values=[float('nan'), 0.2, 0.3]), "class 'ant' .* but is nan"),
        (dict(values=[0.1, '0.5', 0.3]), "but is '0.5'"),
        (dict(values=[0.1, True, 0.3]), 'but is True'),
    ],
)
def test_damaged_or_of_another_model(changes, message):
    stored = dict(classes=CLASSES, values=[0.25, 1, 0.0]) | changes
    with pytest.raises(ValueError, match=f'{message}.*tune_thresholds.py'):
        stored_thresholds(dict(thresholds=stored), CLASSES)
