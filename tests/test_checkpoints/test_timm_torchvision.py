"""Oracle: the networks of timm and torchvision themselves, with random weights and statistics."""

import pytest
import torch
import torchvision
from classifiers import classifier_of, without_weights
from torch import nn

from mmpretrain_mldecoder.checkpoints.conversion import convert, family_of

timm = pytest.importorskip('timm')
from timm.layers.ml_decoder import add_ml_decoder_head  # noqa: E402

# Odd maps show how a pool treats the border; a TResNet first takes squares of 4 x 4 pixels.
SIZES = [(64, 64), (65, 97)]
TRESNET_SIZES = [(64, 64), (68, 100)]


def randomise(model: nn.Module) -> nn.Module:
    """Random weights for everything, the statistics of the norms included, in float64."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith('running_var'):
                value.uniform_(0.5, 1.5)
            elif value.dim() > 1:
                value.normal_(std=(2 / value[0].numel()) ** 0.5)
            elif value.is_floating_point():
                value.add_(0.2 * torch.randn_like(value))
    return model.double().eval()


def converted(theirs: nn.Module, model: nn.Module) -> nn.Module:
    """Load their weights strictly; also check that each of their names is used or skipped."""
    conversion = convert(theirs.state_dict())
    counters = {name for name in theirs.state_dict() if name.endswith('num_batches_tracked')}
    assert set(conversion.skipped) == counters
    assert {*conversion.sources.values(), *counters} == set(theirs.state_dict())
    model.load_state_dict(conversion.state_dict, strict=True)
    model.double()
    for module in model.modules():  # the host's ResNet.eval returns None
        module.training = False
    return model


def features_of(theirs: nn.Module, images: torch.Tensor) -> torch.Tensor:
    if hasattr(theirs, 'forward_features'):
        return theirs.forward_features(images)
    return nn.Sequential(*list(theirs.children())[:-2])(images)  # without pool and fc


def assert_same(ours, theirs, sizes):
    for size in sizes:
        images = torch.rand(2, 3, *size, dtype=torch.double)
        with torch.no_grad():
            expected = theirs(images)
            # float64 on both sides: only the order of the sums differs.
            close = dict(rtol=1e-9, atol=1e-9)
            (features,) = ours.extract_feat(images, stage='backbone')
            torch.testing.assert_close(features, features_of(theirs, images), **close)
            torch.testing.assert_close(ours(images), expected, **close)
        assert expected.std() > 0.01


@pytest.mark.parametrize(
    ('library', 'name', 'backbone'),
    [
        ('torchvision', 'resnet18', dict(type='ResNet', depth=18)),
        ('timm', 'resnet50', dict(type='ResNet', depth=50)),
        ('timm', 'resnet34d', dict(type='ResNetV1d', depth=34)),
        ('timm', 'resnet50d', dict(type='ResNetVd', depth=50)),
        ('timm', 'tresnet_m', dict(type='TIMMBackbone', model_name='tresnet_m')),
    ],
)
def test_logits_and_features_are_the_same(library, name, backbone):
    create = torchvision.models.get_model if library == 'torchvision' else timm.create_model
    theirs = randomise(create(name, num_classes=7))
    in_channels = 512 if '18' in name or '34' in name else 2048
    ours = converted(theirs, classifier_of(backbone, 7, in_channels))
    assert_same(ours, theirs, TRESNET_SIZES if 'tresnet' in name else SIZES)


@pytest.mark.parametrize(
    ('name', 'backbone'),
    [
        *((f'resnet{depth}', dict(type='ResNet', depth=depth)) for depth in (101, 152)),
        *((f'resnet{depth}d', dict(type='ResNetVd', depth=depth)) for depth in (101, 152)),
        *(
            (name, dict(type='TIMMBackbone', model_name=name))
            for name in ('tresnet_l', 'tresnet_xl', 'tresnet_v2_l')
        ),
    ],
)
def test_larger_names_map_strictly(name, backbone):
    with torch.device('meta'):
        theirs = timm.create_model(name)
    with without_weights():
        ours = classifier_of(backbone, 1000, theirs.num_features)
    ours.load_state_dict(convert(theirs.state_dict()).state_dict, strict=True, assign=True)


@pytest.mark.parametrize(
    ('name', 'backbone', 'in_channels', 'place'),
    [
        ('resnet18', dict(type='ResNet', depth=18), 512, 'fc'),
        ('tresnet_m', dict(type='TIMMBackbone', model_name='tresnet_m'), 2048, 'head'),
    ],
)
def test_ml_decoder_of_timm(name, backbone, in_channels, place):
    theirs = add_ml_decoder_head(timm.create_model(name, num_classes=7))
    decoder = getattr(theirs, place).decoder
    # torch's stock container reads self_attn of its layers since 2.1, which the authors' lacks.
    decoder.forward = decoder.layers[0].forward
    randomise(theirs)
    ours = converted(theirs, classifier_of(backbone, 7, in_channels, 'MLDecoderHead'))
    images = torch.rand(2, 3, 68, 100, dtype=torch.double)
    with torch.no_grad():
        expected = getattr(theirs, place)(theirs.forward_features(images))
        torch.testing.assert_close(ours(images), expected, rtol=1e-9, atol=1e-9)


def test_family():
    with torch.device('meta'):
        states = {
            'torchvision': torchvision.models.resnet18().state_dict(),
            'timm': timm.create_model('resnet18d').state_dict(),
        }
        tresnet = timm.create_model('tresnet_m').state_dict()
    for family, state in states.items():
        assert family_of(state) == family
        assert convert(state).family == family
        # torchvision's backbone alone has the names of the host's own checkpoints.
        backbone = {name: value for name, value in state.items() if not name.startswith('fc.')}
        assert family_of(backbone) == (None if family == 'torchvision' else family)
    assert family_of(tresnet) == 'timm'
