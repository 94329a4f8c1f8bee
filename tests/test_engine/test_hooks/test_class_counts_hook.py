import json
import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from classifiers import classifier_of
from coco_dataset import build, images_per_label
from fault_parts import Stop, StopHook
from mmengine.config import Config
from mmengine.runner import BaseLoop, Runner
from mmpretrain.datasets import MultiLabelDataset
from tiny_run import (
    ITERATIONS,
    assert_same_training,
    build_runner,
    load_tool,
    read,
    read_log,
    refusal,
    write_tiny_config,
)

from mmpretrain_mldecoder.engine import ClassCountsHook
from mmpretrain_mldecoder.errors import ConfigError

pytest.importorskip('timm', minversion='1.0.31')

LOSSES = dict(
    asl="dict(type='DetachedAsymmetricLoss', pos_weight='auto')",
    db="dict(type='TIMMLoss', loss_type='db', class_counts='auto')",
)
_BALANCED = """
model['head']['loss'] = {loss}
train_dataloader['sampler'] = dict(type='ClassBalancedSampler', oversample_thr=0.7)
default_hooks['checkpoint'].update(by_epoch=False, interval=2, save_best=None)
train_cfg['val_begin'] = 99
"""


class Loop(BaseLoop):
    run = None

    def __init__(self, runner, dataloader):
        self.dataloader = dataloader


def loss_of(runner):
    return runner.model.head.loss_module


def begin(runner):
    """Start a training up to its first step."""
    runner.register_hook(StopHook(), priority='LOWEST')
    with pytest.raises(Stop):
        runner.train()


def write(folder, loss='asl', more=''):
    return write_tiny_config(folder, _BALANCED.format(loss=LOSSES[loss]) + more)


@pytest.mark.parametrize(('loss', 'more'), [('asl', ''), ('db', ITERATIONS)])
def test_training_resumed_within_an_epoch_is_the_unbroken_one(tmp_path, loss, more):
    config, run, resumed = write(tmp_path, loss, more), tmp_path / 'run', tmp_path / 'resumed'
    build_runner(config, run).train()
    last = Path((run / 'last_checkpoint').read_text()).name
    start = run / 'iter_6.pth'
    assert read(start)['meta']['loop']['epoch_steps'] == 4  # 15 images in batches of 4
    runner = build_runner(config, resumed, resume=True, load_from=str(start))
    runner.train()
    assert_same_training(resumed / last, run / last)
    assert loss_of(runner).counted and len(runner.train_dataloader.sampler) == 15


def test_counts_are_those_of_the_training_data(tmp_path):
    runner = build_runner(write(tmp_path), tmp_path / 'run')
    begin(runner)
    positives = images_per_label(build(tmp_path / 'coco'))
    expected = torch.tensor((12 - positives) / positives).float()
    assert loss_of(runner).pos_weight.equal(expected)
    assert 'pos_weight from the labels of 12 images: ' in read_log(tmp_path / 'run')


def test_a_test_needs_neither_counts_nor_timm(tmp_path, monkeypatch):
    config, run = write(tmp_path), tmp_path / 'run'
    build_runner(config, run, **{'train_cfg.max_epochs': 1}).train()
    monkeypatch.setitem(sys.modules, 'timm.loss.class_weights', None)
    checkpoint = str(run / 'iter_4.pth')
    runner = build_runner(config, tmp_path / 'test', load_from=checkpoint)
    assert 'coco/mAP' in runner.test()
    assert loss_of(runner).pos_weight is None
    with pytest.raises(ConfigError, match=r"model\.head\.loss: pos_weight='auto' needs timm"):
        build_runner(config, tmp_path / 'again').train()


def test_with_mmengines_runner(tmp_path):
    lines = """
del optim_wrapper['type'], optim_wrapper['loss_scale']
train_dataloader.update(persistent_workers=False, collate_fn=dict(type='default_collate'))
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
default_hooks['checkpoint'].update(save_best=None)
train_cfg['max_epochs'] = 1
custom_hooks.append(dict(type='ClassCountsHook'))
"""
    cfg = Config.fromfile(write(tmp_path, more=lines))
    cfg.work_dir, cfg.experiment_name = str(tmp_path / 'host'), 'counted'
    Runner.from_cfg(cfg).train()
    cfg.custom_hooks.pop()
    cfg.experiment_name = 'uncounted'
    with pytest.raises(ValueError, match='ClassCountsHook'):
        Runner.from_cfg(cfg).train()


def test_classes_without_a_positive_are_named(tmp_path):
    config = write(tmp_path)
    part = {'train_dataloader.dataset.indices': 2, 'train_dataloader.batch_size': 2}
    begin(build_runner(config, tmp_path / 'run', **part))
    positives = images_per_label(build(tmp_path / 'coco', indices=2))
    number, log = int((positives == 0).sum()), read_log(tmp_path / 'run')
    assert number > 0 and f'{number} of 4 classes have no image that is known to show them' in log
    capped = {'model.head.loss.pos_weight': dict(_delete_=True, max_weight=5)}
    begin(build_runner(config, tmp_path / 'capped', **part, **capped))
    assert 'known to show them' not in read_log(tmp_path / 'capped')


@pytest.mark.parametrize('head', ['MLDecoderHead', 'CSRAClsHead'])
def test_labels_without_names_of_classes(tmp_path, head):
    samples = [dict(img_path='x', gt_label=labels) for labels in ([0, 2], [2], [])]
    (tmp_path / 'a.json').write_text(json.dumps(dict(metainfo={}, data_list=samples)))
    dataset = MultiLabelDataset(str(tmp_path / 'a.json'))
    more = dict(num_heads=2, lam=0.1) if head == 'CSRAClsHead' else {}
    loss = dict(type='DetachedAsymmetricLoss', pos_weight='auto')
    model = classifier_of(dict(type='LeNet5'), 4, 8, head, loss=loss, **more)
    runner = SimpleNamespace(
        model=model,
        train_dataloader=SimpleNamespace(dataset=dataset),
        _train_loop={},
        logger=logging.getLogger(),
    )
    ClassCountsHook().before_run(runner)  # no training
    assert model.head.loss_module.pos_weight is None
    runner._train_loop = Loop(None, runner.train_dataloader)
    if head == 'CSRAClsHead':  # which does not say how many classes it has
        with pytest.raises(ConfigError, match=r'label 2, but there are 0 classes: .*metainfo'):
            ClassCountsHook().before_run(runner)
        return
    ClassCountsHook().before_run(runner)
    assert model.head.loss_module.pos_weight.tolist() == [2, 2, 0.5, 2]


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ("model['head']['loss']['pos_weight'] = [1, 2, 3]", 'has 3 numbers for 4 classes'),
        ("model['head']['loss']['pos_weight'] = 'neg_pos'", 'pos_weight must be a number'),
        ("model['head']['loss']['pos_weight'] = dict(cap=1)", 'model.head.loss: pos_weight = '),
        ("train_dataloader['sampler']['oversample_thr'] = 2", 'sampler.oversample_thr = 2: '),
        ("del train_dataloader['sampler']['oversample_thr']", 'needs .*oversample_thr'),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, line, message):
    config = write(tmp_path, more=line + '\n')
    said = refusal(capsys, load_tool('train'), config, '--work-dir', tmp_path / 'run')
    assert re.search(message, said), said
