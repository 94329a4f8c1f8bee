"""Oracle: timm's own groups of a network with a classifier, and the host's constructor."""

from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS
from timm.optim import param_groups_layer_decay
from torch import nn

import mmpretrain_mldecoder  # noqa: F401

CONFIGS = Path(__file__).parents[2] / 'configs/mldecoder'
# Layers as timm counts them, the classifier's among them: of the rows, and of kinds that timm
# matches otherwise (a function, patterns of names that are not decayed, layers after the pool).
ROWS = dict(convnext_t=20, swin_t=14, vit_b16_openai=14, vit_s16_dinov3=14)
OTHERS = ('cait_xxs24_224', 'xcit_nano_12_p16_224', 'hgnetv2_b0', 'resnet18')


def classifier(backbone: dict, in_channels: int = 8) -> nn.Module:
    small = dict(num_groups=3, embed_dims=16, num_heads=2, feedforward_channels=16)
    head = dict(type='MLDecoderHead', num_classes=3, in_channels=in_channels, **small)
    with torch.device('meta'):
        return MODELS.build(dict(type='ImageClassifier', backbone=backbone, head=head))


def settings(model: nn.Module, lr: float = 1.0, decay: float = 0.5, **paramwise) -> dict:
    """Rate and decay of each parameter, by name."""
    cfg = dict(
        optimizer=dict(type='AdamW', lr=lr, weight_decay=decay),
        constructor='mmpretrain.NoDecay1DConstructor',
        paramwise_cfg=paramwise,
    )
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    of = {id(p): (g['lr'], g['weight_decay']) for g in groups for p in g['params']}
    return {name: of[id(p)] for name, p in model.named_parameters() if p.requires_grad}


def timms(name: str, rate: float, decay: float, **options) -> dict:
    with torch.device('meta'):
        model = timm.create_model(name, num_classes=3, **options)
    groups = param_groups_layer_decay(
        model,
        weight_decay=decay,
        no_weight_decay_list=getattr(model, 'no_weight_decay', set)(),
        layer_decay=rate,
    )
    of = {id(p): (g['lr_scale'], g['weight_decay']) for g in groups for p in g['params']}
    return {f'backbone.timm_model.{name}': of[id(p)] for name, p in model.named_parameters()}


@pytest.mark.parametrize('row', ROWS)
def test_rows_have_the_rates_and_decays_of_timm(row):
    cfg = Config.fromfile(CONFIGS / f'{row}_coco-448px.py')
    del cfg.model.backbone.init_cfg
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    options = cfg.optim_wrapper.to_dict()
    decay, rate = options['optimizer']['weight_decay'], options['paramwise_cfg']['layer_decay_rate']
    ours = settings(model, lr=2.0, decay=decay, layer_decay_rate=rate)
    size = {key: value for key, value in cfg.model.backbone.items() if key == 'img_size'}
    theirs = timms(cfg.model.backbone.model_name, rate, decay, **size)
    for name, (lr, weight_decay) in ours.items():
        scale, expected = theirs.get(name, (1, decay if model.get_parameter(name).ndim > 1 else 0))
        assert (lr, weight_decay) == (pytest.approx(2 * scale), expected), name
        assert name in theirs or name.startswith('head.')
    assert min(lr for lr, _ in ours.values()) == pytest.approx(2 * rate ** (ROWS[row] - 1))


@pytest.mark.parametrize('name', OTHERS)
def test_other_models_of_timm(name):
    ours = settings(classifier(dict(type='TIMMFeatureMap', model_name=name)), layer_decay_rate=0.7)
    theirs = timms(name, 0.7, 0.5)
    backbone = {key: value for key, value in ours.items() if key.startswith('backbone.')}
    assert backbone and len({lr for lr, _ in backbone.values()}) > 5
    for key, value in backbone.items():
        assert value == pytest.approx(theirs[key]), key


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='ConvNeXt', arch='atto'),
        dict(type='SwinTransformer', arch='tiny'),
        dict(type='VisionTransformer', arch='deit-tiny', out_type='featmap'),
        dict(type='ResNet', depth=50),
        dict(type='TIMMFeatureMap', model_name='convnext_atto'),
    ],
    ids=lambda backbone: backbone['type'],
)
def test_rates_of_the_hosts_constructor(backbone):
    """The seam is the host's, so that its constructor knows our backbone, too."""
    with torch.device('cpu' if backbone['type'] != 'TIMMFeatureMap' else 'meta'):
        model = MODELS.build(dict(type='ImageClassifier', backbone=backbone))
    model.to('meta')
    cfg = dict(
        optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.5),
        constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=0.8),
    )
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    theirs = {group['param_name']: group['lr'] for group in groups}
    ours = settings(model, layer_decay_rate=0.8)
    assert {name: lr for name, (lr, _) in ours.items()} == pytest.approx(theirs)
    assert len(set(theirs.values())) > 5


def test_product_with_lr_mult_and_few_groups():
    backbone = dict(type='TIMMFeatureMap', model_name='vit_tiny_patch16_224', depth=2)
    model = classifier(backbone, 192)
    keys = {
        'backbone': dict(lr_mult=0.5),
        'timm_model.blocks.1': dict(lr_mult=3),
        'timm_model.pos': dict(decay_mult=2),
    }
    plain = settings(model, layer_decay_rate=0.6)
    found = settings(model, layer_decay_rate=0.6, custom_keys=keys)
    for name, (lr, _) in plain.items():
        factor = 3 if 'blocks.1' in name else 0.5 if 'backbone' in name else 1
        assert found[name][0] == pytest.approx(lr * factor if 'pos_embed' not in name else lr)
    assert found['backbone.timm_model.pos_embed'] == pytest.approx((0.6**3, 0))
    assert settings(model)['backbone.timm_model.pos_embed'] == (1, 0.5)  # without layers
    # 4 layers with and without decay
    assert len({*plain.values()}) == 8


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='TIMMBackbone', model_name='resnet18'),
        dict(type='TIMMFeatureMap', model_name='resnet18', features_only=True),
        dict(type='MobileNetV2'),
    ],
    ids=str,
)
def test_unknown_layers(backbone):
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone))
    with pytest.raises(ValueError, match=rf'layers of {backbone["type"]} .*custom_keys, or use'):
        settings(model, layer_decay_rate=0.8)
    settings(model, custom_keys=dict(backbone=dict(lr_mult=0.8)))  # as it says


@pytest.mark.parametrize('rate', [0, 1.5, True, '0.8', None])
def test_wrong_rate(rate):
    with pytest.raises(ValueError, match=rf'layer_decay_rate .* got {rate!r}'):
        settings(nn.Linear(2, 2), layer_decay_rate=rate)
