import re
from math import ceil

import pytest
import timm
import torch
from mmpretrain.models import ResNetV1d
from mmpretrain.registry import MODELS
from torch import nn

from mmpretrain_mldecoder.models.backbones import ResNetVd

pytestmark = pytest.mark.usefixtures('float64')


def randomise(model: nn.Module) -> nn.Module:
    """Give every norm weights and statistics of its own, so that a mix-up of two shows."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.2, 0.2)
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    # The host's ResNet.train, and with it eval, returns None.
    model.eval()
    return model


def half_width(depth: int = 18, **kwargs) -> ResNetVd:
    return MODELS.build(
        dict(type='ResNetVd', depth=depth, stem_channels=32, base_channels=32, **kwargs)
    )


def test_depth_50_has_the_published_number_of_parameters():
    # The published table: 25.580 M with the fc; the published checkpoint's list sums to 25,576,264.
    num_backbone = sum(p.numel() for p in ResNetVd(50).parameters())
    assert num_backbone + 2048 * 1000 + 1000 == 25_576_264


@pytest.mark.parametrize(('depth', 'name', 'size'), [(50, 'resnet50d', 75), (18, 'resnet18d', 64)])
def test_equals_timm(depth, name, size):
    theirs = randomise(timm.create_model(name, num_classes=0))
    ours = ResNetVd(depth)
    stem = {'conv1.0': 'stem.0.conv', 'conv1.1': 'stem.0.bn', 'conv1.3': 'stem.1.conv'}
    stem |= {'conv1.4': 'stem.1.bn', 'conv1.6': 'stem.2.conv', 'bn1': 'stem.2.bn'}
    state = {}
    for key, value in theirs.state_dict().items():
        for old, new in stem.items():
            key = re.sub(rf'^{re.escape(old)}\.', f'{new}.', key)
        # timm puts an identity where stage 1 has nothing to pool.
        key = re.sub(
            r'^(layer1\.0\.downsample)\.([12])\.', lambda m: f'{m[1]}.{int(m[2]) - 1}.', key
        )
        state[key] = value
    if depth == 18:
        # The projection that timm's resnet18d lacks: 1x1 identity, norm undone up to its eps.
        prefix = 'layer1.0.downsample'
        state[f'{prefix}.0.weight'] = torch.eye(64)[:, :, None, None]
        norm = nn.BatchNorm2d(64)
        norm.weight.data.fill_((1 + norm.eps) ** 0.5)
        state |= {f'{prefix}.1.{k}': v for k, v in norm.state_dict().items()}
    ours.load_state_dict(state)
    ours.eval()
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs.forward_features(images)
        (feats,) = ours(images)
    # The same operations in float64, up to the identity projection's rounding.
    torch.testing.assert_close(feats, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(('depth', 'expansion'), [(18, 1), (50, 4)])
def test_shapes(depth, expansion):
    model = half_width(depth, out_indices=(0, 1, 2, 3))
    model.eval()
    for height, width in ((33, 47), (64, 96)):
        with torch.no_grad():
            outs = model(torch.zeros(1, 3, height, width))
        for stage, out in enumerate(outs):
            stride = 4 * 2**stage
            channels = 32 * 2**stage * expansion
            assert out.shape == (1, channels, ceil(height / stride), ceil(width / stride))
    with pytest.raises(KeyError, match='invalid depth 26'):
        ResNetVd(26)


@pytest.mark.parametrize('depth', [18, 50])
def test_gradient_reaches_every_parameter(depth):
    model = half_width(depth, zero_init_residual=False)
    model.init_weights()
    model(torch.randn(2, 3, 64, 64))[0].square().mean().backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_frozen_stages_stay_frozen():
    model = half_width(18, frozen_stages=1)
    model.train()
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in model.named_parameters() if n.startswith(('stem', 'layer1'))}
    assert 'layer1.0.downsample.0.weight' in frozen


def test_layer_depth_is_the_host_s():
    for depth in (34, 101):
        host, ours = ResNetV1d(depth=depth), ResNetVd(depth)
        for name, _ in ours.named_parameters():
            name = f'backbone.{name}'
            depths = [one.get_layer_depth(name, 'backbone.') for one in (ours, host)]
            assert depths[0] == depths[1], name
