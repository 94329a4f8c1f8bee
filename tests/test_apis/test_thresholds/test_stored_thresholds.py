import os

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from tiny_run import assert_equal

from mmpretrain_mldecoder.apis import store_thresholds, stored_thresholds
from mmpretrain_mldecoder.checkpoints.load import load_weights_only

CLASSES = ['ant', 'bee', 'cat']
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
