import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from mmpretrain_mldecoder.apis.inference.network_runner import fold_batch_norm


def away_from_start(module: nn.Module) -> nn.Module:
    """Give the norms statistics and weights that do something, and go to evaluation mode."""
    torch.manual_seed(0)
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(m.weight, 0.5, 1)
            nn.init.normal_(m.bias)
            if m.running_mean is not None:
                m.running_mean.normal_()
                m.running_var.uniform_(0.5, 2)
    module.eval()
    return module  # the host's eval() does not return it


def norms(module: nn.Module) -> int:
    return sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())


@torch.no_grad()
def assert_same_after(module: nn.Module, folded: int, left: int) -> None:
    images = torch.randn(2, 3, 64, 64)
    expected = module(images)
    assert fold_batch_norm(module) == folded
    assert norms(module) == left
    got = module(images)
    for a, b in zip(got, expected, strict=True):
        # Tens of layers, each with a rounding or two of 6e-8 more or less.
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


@pytest.mark.parametrize(
    ('backbone', 'folded'),
    [
        # 1 in the stem, 2 or 3 a block, 1 a shortcut that projects
        (dict(type='ResNet', depth=18, stem_channels=8, base_channels=8), 1 + 16 + 3),
        (
            dict(type='ResNet', depth=50, stem_channels=8, base_channels=8, out_indices=(0, 3)),
            1 + 48 + 4,
        ),
        # three convolutions in the stem, a pool ahead of the shortcut's
        (dict(type='ResNetVd', depth=18, stem_channels=8, base_channels=8), 3 + 16 + 4),
        (dict(type='ResNetVd', depth=50, stem_channels=8, base_channels=8), 3 + 48 + 4),
        # convolution, norm and activation in one module, with as many groups as channels
        (dict(type='MobileNetV2', widen_factor=0.25, out_indices=(7,)), 52),
    ],
)
def test_every_norm_of_a_backbone(backbone, folded):
    assert_same_after(away_from_start(MODELS.build(backbone)), folded, left=0)


def test_norms_with_an_activation_inside():
    timm = pytest.importorskip('timm')
    module = timm.create_model('mobilenetv3_small_050', pretrained=False)
    count = norms(module)
    assert count > 10  # all of them subclasses of BatchNorm2d
    assert_same_after(away_from_start(module), folded=0, left=count)


def test_convolution_with_a_bias():
    assert_same_after(
        away_from_start(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))), folded=1, left=0
    )


def test_what_does_not_train_and_does_not_track():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    assert_same_after(away_from_start(module), folded=0, left=1)


class Two(nn.Module):
    """A convolution and a norm, for what can stand between them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)


class NormFirst(Two):
    def forward(self, x):
        return self.conv(self.norm(x))


class ReluBetween(Two):
    def forward(self, x):
        return self.norm(self.conv(x).relu())


class ReadTwice(Two):
    def forward(self, x):
        features = self.conv(x)
        return features + self.norm(features)


class ConvolutionTwice(Two):
    def forward(self, x):
        return self.norm(self.conv(self.conv(x)))


class NormTwice(Two):
    def forward(self, x):
        return self.norm(self.conv(x)) + self.norm(x)


class TwoNames(Two):
    def __init__(self):
        super().__init__()
        self.alias = self.norm

    def forward(self, x):
        return self.alias(self.conv(x))


class DependsOnValues(Two):
    def forward(self, x):
        features = self.norm(self.conv(x))
        return features if features.mean() > 0 else -features


class Remembers(Two):
    """Keeps what it computed: the trace must not leave its own objects there."""

    scale = None

    def forward(self, x):
        if self.scale is None:
            self.scale = x.mean()
        if x.shape[0] > 1:
            return self.norm(self.conv(x)) * self.scale
        return x


@pytest.mark.parametrize(
    'kind',
    [
        *(NormFirst, ReluBetween, ReadTwice, ConvolutionTwice, NormTwice, TwoNames),
        *(DependsOnValues, Remembers),
    ],
)
def test_what_cannot_be_folded_stays(kind):
    assert_same_after(away_from_start(kind()), folded=0, left=1)


def test_trace_leaves_nothing_behind():
    module = away_from_start(Remembers())
    assert fold_batch_norm(module) == 0
    assert module.scale is None


def test_training_mode():
    with pytest.raises(ValueError, match=r'evaluation mode only: call eval\(\)'):
        fold_batch_norm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
