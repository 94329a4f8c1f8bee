"""Every row of the tables parses, says what the design says, and builds its model."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

CONFIGS = Path(__file__).parents[2] / 'configs'
ROWS = sorted(
    str(path.relative_to(CONFIGS))
    for folder in ('mldecoder', 'linear', 'imagenet', 'demo')
    for path in (CONFIGS / folder).glob('*.py')
)
BACKBONES = ('r50', 'r50_timm', 'r50vd', 'r50vd_ssld', 'r50vd_fix_ssld')


def load(row: str) -> Config:
    return Config.fromfile(CONFIGS / row)


def build(cfg: Config) -> torch.nn.Module:
    cfg.model.backbone.pop('init_cfg', None)
    return MODELS.build(cfg.model).eval().to('meta')  # shapes are enough


def test_every_row_of_the_design_is_there():
    expected = {f'mldecoder/{name}_coco.py' for name in BACKBONES}
    expected |= {f'mldecoder/{name}_coco-448px.py' for name in BACKBONES}
    expected |= {f'linear/{name}_coco.py' for name in BACKBONES}
    expected |= {f'imagenet/{name}_in1k.py' for name in BACKBONES}
    expected |= {'mldecoder/r101_coco-448px.py', 'mldecoder/r50_timm_coco-q10.py'}
    assert expected <= set(ROWS)


@pytest.mark.parametrize('row', ROWS)
def test_row_is_short_and_builds(row):
    assert len((CONFIGS / row).read_text().splitlines()) <= 25
    cfg = load(row)
    model = build(cfg)
    logits = model(torch.empty(2, 3, 96, 96, device='meta'))
    assert logits.shape == (2, cfg.model.head.num_classes)


@pytest.mark.parametrize('row', [row for row in ROWS if row.startswith(('mldecoder', 'linear'))])
def test_coco_recipe(row):
    """The numbers of the design's section 2, per recipe."""
    cfg = load(row)
    final = '448px' in row
    size = 448 if final else 320 if 'fix' in row else 224
    train = {step['type']: step for step in cfg.train_dataloader.dataset.pipeline}
    assert list(train) == [
        'LoadImageFromFile',
        'SquareResize',
        'RandomCutout',
        'TwoOpRandAugment',
        'PackInputs',
    ]
    assert train['SquareResize']['scale'] == size
    assert train['RandomCutout']['size'] == (224 if final else 0.5)
    assert cfg.val_dataloader.dataset.pipeline[1]['scale'] == size
    assert cfg.train_dataloader.batch_size == (64 if final else 56)
    assert cfg.data_preprocessor.to_rgb
    assert cfg.data_preprocessor.std == ([58.395, 57.12, 57.375] if final else [255.0] * 3)
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW' if final else 'Adam', lr=1e-4, weight_decay=1e-4
    )
    assert cfg.auto_scale_lr.base_batch_size == 4 * cfg.train_dataloader.batch_size
    assert cfg.train_cfg.max_epochs == 40
    assert dict(type='DualEMAHook', decay=0.9997) in cfg.custom_hooks
    # dotted options reach the weights, as the error of a missing checkpoint says
    cfg.merge_from_dict({'model.backbone.init_cfg': None})
    assert cfg.model.backbone.init_cfg is None


# DESIGN: params in M with the 1000-way fc, FLOPs in G as torch counts them (2 a multiply-add).
IMAGENET = {
    'r50': (25.560, 8.178, 8.190),
    'r50_timm': (25.560, 8.178, 8.190),
    'r50vd': (25.580, 8.658, 8.670),
    'r50vd_ssld': (25.580, 8.658, 8.670),
    'r50vd_fix_ssld': (25.580, 17.664, 17.696),
}


@pytest.mark.parametrize('name', BACKBONES)
def test_imagenet_params_and_flops(name):
    """Within 0.3 % of the published table, and equal to torch's own count of the kind."""
    cfg = load(f'imagenet/{name}_in1k.py')
    model = build(cfg)
    params, counted, published = IMAGENET[name]
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(params, rel=3e-3)
    size = cfg.test_dataloader.dataset.pipeline[2]['crop_size']
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, size, size, device='meta'))
    flops = counter.get_total_flops() / 1e9
    assert flops == pytest.approx(counted, abs=1e-3)
    assert flops == pytest.approx(published, rel=3e-3)
