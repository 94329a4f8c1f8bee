from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import METRICS

from mmpretrain_mldecoder.apis.split_scores import (
    _SameClassesHook,
    image_source,
    split_warnings,
    use_split,
    use_stored_thresholds,
)

ROWS = Path(__file__).parents[2] / 'configs' / 'mldecoder'


@pytest.fixture
def cfg() -> Config:
    return Config.fromfile(ROWS / 'r50_coco.py')


def test_training_images_through_the_test_pipeline_with_the_weights_of_the_checkpoint(cfg):
    test_pipeline = cfg.test_dataloader.dataset.pipeline
    assert any('EMA' in hook.type for hook in cfg.custom_hooks)
    assert cfg.train_dataloader.sampler.type != 'DefaultSampler'
    use_split(cfg, 'train')
    assert cfg.test_dataloader.dataset.data_prefix == 'train2017'
    assert cfg.test_dataloader.dataset.pipeline == test_pipeline
    assert cfg.test_dataloader.sampler.type == 'DefaultSampler'
    assert not cfg.test_dataloader.sampler.shuffle
    assert not any('EMA' in hook.type for hook in cfg.custom_hooks)


def test_warnings_follow_the_images_not_the_name(cfg):
    (trained,), (chosen,) = split_warnings(cfg, 'train'), split_warnings(cfg, 'val')
    assert 'was trained on this split' in trained and 'best_*.pth' in chosen
    assert split_warnings(cfg, 'test') == [chosen]  # the same images as val
    cfg.test_dataloader = Config(dict(a=cfg.test_dataloader)).a  # no longer one object
    cfg.test_dataloader.dataset.ann_file = 'annotations/other.json'
    assert split_warnings(cfg, 'test') == []
    cfg.test_dataloader.dataset.update(
        {key: cfg.train_dataloader.dataset[key] for key in ('ann_file', 'data_prefix')}
    )
    assert split_warnings(cfg, 'test') == [trained]


def test_source_tells_images_apart(cfg):
    assert image_source(cfg, 'val') == image_source(cfg, 'test') != image_source(cfg, 'train')
    cfg.train_dataloader = None
    assert image_source(cfg, 'train') is None
    assert split_warnings(cfg, 'val')  # a config without training


def test_splits_that_are_not_there(cfg):
    wrapped = dict(type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset)
    cfg.train_dataloader = dict(dataset=wrapped)
    with pytest.raises(ValueError, match=r'RepeatDataset has no pipeline .* name another split'):
        use_split(cfg, 'train')
    use_split(cfg, 'val')
    cfg.train_dataloader = None
    with pytest.raises(ValueError, match="no train_dataloader, so there is no split 'train'"):
        use_split(cfg, 'train')


@pytest.mark.parametrize('classes', [['bee', 'ant'], ['ant'], [None, 'bee'], ['\x1b[2J']])
def test_classes_of_checkpoint_and_split(classes):
    dataset = SimpleNamespace(metainfo=dict(classes=('ant', 'bee')))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset))
    check = _SameClassesHook().after_load_checkpoint
    for same in (None, [], ('ant', 'bee')):
        check(runner, dict(meta=dict(dataset_meta=dict(classes=same))))
    with pytest.raises(
        ValueError, match=r'thresholds are of the classes of the checkpoint'
    ) as caught:
        check(runner, dict(meta=dict(dataset_meta=dict(classes=classes))))
    assert str(caught.value).isprintable()


def test_thresholds_of_any_class_names_survive_the_text_of_the_config(cfg, tmp_path):
    """A runner logs that text, and a training writes it."""
    wanted = {"bird's nest": 0.25, 'None': 0.5, 'a\\new "x"': 0.75, 'type': 0.1, 'Größe': 0.2}
    thresholds = dict(classes=[*wanted], values=[*wanted.values()])
    torch.save(dict(state_dict={}, meta=dict(thresholds=thresholds)), tmp_path / 'a.pth')
    use_stored_thresholds(cfg, str(tmp_path / 'a.pth'))
    again = Config.fromstring(cfg.pretty_text, '.py')
    assert METRICS.build(again.test_evaluator).thr == wanted
