import re

import pytest
from mmengine.config import Config
from tiny_run import ROOT

from mmpretrain_mldecoder.engine.checks.build import check_annotation_files, check_type_names
from mmpretrain_mldecoder.engine.checks.idle_settings import idle_settings
from mmpretrain_mldecoder.errors import ConfigError


def test_names_are_looked_up_before_anything_is_built(folder):
    for key, name, message in (
        ('model.backbone.type', 'Resnet', 'no model of that name; near: ResNet'),
        ('model.head.loss', dict(type='AsymetricLoss'), 'model.head.loss.type.*AsymmetricLoss'),
        ('train_dataloader.dataset.type', 'CocoMultiLabel', 'no dataset .*near: COCOMultiLabel'),
        ('train_dataloader.dataset.pipeline.1.type', 'RandomResizeCrop', 'near: RandomResizedCrop'),
        ('train_dataloader.sampler.type', 'SeedSampler', 'near: SeededSampler'),
        ('train_dataloader.collate_fn', dict(type='default_colate'), 'near: default_collate'),
        ('val_evaluator.type', 'MultilabelMap', 'near: MultiLabelMAP'),
        ('optim_wrapper.optimizer.type', 'adam', 'near: Adam'),
        ('optim_wrapper.constructor', 'NoDecay1D', 'near: NoDecay1DConstructor'),
        ('param_scheduler.type', 'PlainOneCycle', 'near: PlainOneCycleLR'),
        ('custom_hooks.1.type', 'DualEmaHook', 'near: DualEMAHook'),
        ('default_hooks.chekpoint', dict(interval=2), 'near: checkpoint'),
    ):
        cfg = Config.fromfile(folder / 'tiny.py')
        check_type_names(cfg)
        cfg.merge_from_dict({key: name})
        with pytest.raises(ConfigError, match=re.escape(key.rpartition('.')[0])) as caught:
            check_type_names(cfg)
        assert re.search(message, str(caught.value))


def test_a_training_needs_no_annotations_of_a_test(folder):
    cfg = Config.fromfile(folder / 'tiny.py')
    cfg.test_dataloader.dataset.ann_file = 'absent.json'
    check_annotation_files(cfg, 'train', 'val')
    with pytest.raises(ConfigError, match=r"test_.*\.ann_file = 'absent.json': no file .*coco.abs"):
        check_annotation_files(cfg, 'test')


def test_shipped_rows_have_known_keys_and_types():
    rows = sorted(ROOT.glob('configs/*/r*.py'))
    assert len(rows) > 10
    for row in rows:
        cfg = Config.fromfile(row)
        assert not idle_settings(cfg), row
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            cfg[name] = None  # its data is not here
        check_type_names(cfg)
