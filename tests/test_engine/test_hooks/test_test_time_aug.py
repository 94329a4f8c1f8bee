import re
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from tiny_run import build_runner, write_tiny_config

from mmpretrain_mldecoder.engine import TestTimeAugHook
from mmpretrain_mldecoder.engine.hooks.test_time_aug import apply_tta, tta_pipeline

CONFIGS = Path(__file__).parents[3] / 'configs'
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackMultiLabelInputs')


def views(pipeline: list[dict], img: np.ndarray) -> list[np.ndarray]:
    """Run all but the loading, and return the images as BGR ``(H, W, 3)``."""
    steps = [step for step in pipeline if step['type'] != 'LoadImageFromFile']
    with DefaultScope.overwrite_default_scope('mmpretrain'):  # as in a run
        steps = [TRANSFORMS.build(step) for step in steps]
    packed = Compose(steps)(dict(img=img, img_shape=img.shape[:2], ori_shape=img.shape[:2]))
    return [image.permute(1, 2, 0).numpy() for image in packed['inputs']]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def test_two_sizes_and_flips(image):
    plain = [LOAD, dict(type='SquareResize', scale=28), PACK]
    small, small_flipped, large, large_flipped = views(tta_pipeline(plain), image)
    assert (small.shape, large.shape) == ((28, 28, 3), (32, 32, 3))
    for one, flipped in ((small, small_flipped), (large, large_flipped)):
        np.testing.assert_array_equal(flipped, one[:, ::-1])
    resize = TRANSFORMS.build(plain[1])
    np.testing.assert_array_equal(small, resize(dict(img=image))['img'])
    assert plain == [LOAD, dict(type='SquareResize', scale=28), PACK]


def test_flips_alone(image):
    for pipeline in ([LOAD, PACK], [LOAD, dict(type='CenterCrop', crop_size=20), PACK]):
        one, flipped = views(tta_pipeline(pipeline), image)
        np.testing.assert_array_equal(flipped, one[:, ::-1])


def test_what_follows_the_resize_is_done_to_every_view(image):
    crop = dict(type='CenterCrop', crop_size=16)
    images = views(tta_pipeline([LOAD, dict(type='SquareResize', scale=28), crop, PACK]), image)
    assert [view.shape for view in images] == [(16, 16, 3)] * 4


@pytest.mark.parametrize(
    ('row', 'sizes', 'model'),
    [
        ('mldecoder/r50_coco.py', (224, 256), 'MultiLabelTTA'),
        ('linear/r50_coco.py', (224, 256), 'MultiLabelTTA'),
        ('mldecoder/r50_coco-448px.py', (448, 512), 'MultiLabelTTA'),
        ('demo/mldecoder_r18vd_half_demo.py', (), 'MultiLabelTTA'),
        ('imagenet/r50_in1k.py', (), 'AverageClsScoreTTA'),
    ],
)
def test_shipped_configs(row, sizes, model):
    cfg = Config.fromfile(CONFIGS / row)
    apply_tta(cfg)
    words = cfg.custom_hooks[-1].views
    assert all(re.search(rf'scale={size}\b', words) for size in sizes)
    assert words.count('RandomFlip') == 2
    assert cfg.custom_hooks[-1].tta_model.type == model


def test_a_configs_own_views_and_model():
    cfg = Config.fromfile(CONFIGS / 'mldecoder/r50_coco.py')
    own = [LOAD, dict(type='TestTimeAug', transforms=[[PACK]])]
    cfg.tta_pipeline, cfg.tta_model = own, dict(type='AverageClsScoreTTA')
    apply_tta(cfg)
    assert cfg.test_dataloader.dataset.pipeline == own
    assert cfg.custom_hooks[-1].tta_model.type == 'AverageClsScoreTTA'


def test_wrong_configs():
    cfg = Config.fromfile(CONFIGS / 'mldecoder/r50_coco.py')
    cfg.tta_pipeline = [LOAD, PACK]
    with pytest.raises(ValueError, match='tta_pipeline has no TestTimeAug'):
        apply_tta(cfg)
    dataset = dict(type='ConcatDataset', datasets=[cfg.test_dataloader.dataset])
    cfg.test_dataloader = dict(dataset=dataset)
    with pytest.raises(ValueError, match='ConcatDataset has no pipeline of its own'):
        apply_tta(cfg)


def test_the_model_is_wrapped_for_the_test_only(tmp_path):
    runner = build_runner(write_tiny_config(tmp_path), tmp_path / 'run')
    plain = runner.model
    hook = TestTimeAugHook(dict(type='MultiLabelTTA'))
    hook.before_test(runner)
    assert isinstance(runner.model, BaseTTAModel) and runner.model.module is plain
    hook.after_test(runner)
    assert runner.model is plain
