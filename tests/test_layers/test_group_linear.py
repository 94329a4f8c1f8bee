import math

import pytest
import torch

from mmpretrain_mldecoder.layers import GroupLinear

pytestmark = pytest.mark.usefixtures('float64')

# float64 on both sides: only the order of the sums differs.
CLOSE = dict(rtol=1e-12, atol=1e-12)
# (num_classes, num_groups): even groups, a surplus, groups that own no class at all (7 groups of 2
# for 10 classes), one group, one class per group, one class.
SPLITS = [(12, 4), (10, 4), (10, 7), (6, 1), (6, 6), (1, 1)]


def logits_by_loop(layer, embeddings):
    """Each class by its own dot product, class after class."""
    group_size = layer.weight.shape[2]
    logits = torch.empty(embeddings.shape[0], layer.num_classes)
    for label in range(layer.num_classes):
        group, place = divmod(label, group_size)
        product = embeddings[:, group] * layer.weight[group, :, place]
        logits[:, label] = product.sum(1) + layer.bias[label]
    return logits


@pytest.mark.parametrize(('num_classes', 'num_groups'), SPLITS)
def test_logits_and_gradients_equal_loop_over_classes(num_classes, num_groups):
    torch.manual_seed(0)
    layer = GroupLinear(8, num_classes, num_groups)
    torch.nn.init.normal_(layer.bias)
    embeddings = torch.randn(3, num_groups, 8, requires_grad=True)
    logits, expected = layer(embeddings), logits_by_loop(layer, embeddings)
    torch.testing.assert_close(logits, expected, **CLOSE)
    inputs = [embeddings, layer.weight, layer.bias]
    ours = torch.autograd.grad(logits.square().sum(), inputs)
    loop = torch.autograd.grad(expected.square().sum(), inputs)
    for gradient, expected in zip(ours, loop, strict=True):
        torch.testing.assert_close(gradient, expected, **CLOSE)


def test_group_size_is_the_exact_ceiling():
    for num_classes, num_groups, group_size in (
        (1002, 1001, 2),
        (1000, 100, 10),
        (9605, 200, 49),
        (10_000_001, 10_000_000, 2),
    ):
        with torch.device('meta'):
            layer = GroupLinear(1, num_classes, num_groups)
        assert layer.weight.shape == (num_groups, 1, group_size)


def test_initial_weights_are_xavier_normal_over_the_whole_tensor():
    torch.manual_seed(0)
    layer = GroupLinear(64, 100, 20)  # 6,400 weights
    expected = math.sqrt(2 / ((20 + 64) * 5))
    # The spread of n samples is off by 1 / sqrt(2 n) = 0.9 %, the mean by std / sqrt(n) = 1.3 %.
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.04)
    assert abs(layer.weight.mean().item()) < 0.06 * expected
    # A normal has 4.6 % of its mass beyond 2 standard deviations, a uniform none.
    assert (layer.weight.abs() > 2 * expected).float().mean().item() == pytest.approx(
        0.0455, abs=0.01
    )
    assert layer.bias.eq(0).all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    torch.manual_seed(0)
    layer = GroupLinear(32, 10, 4)
    embeddings = torch.randn(3, 4, 32)
    expected = layer(embeddings)
    magnitudes = torch.einsum('bkd,kdg->bkg', embeddings.abs(), layer.weight.abs())
    layer.float()
    with torch.autocast('cpu', dtype):
        logits = layer(embeddings.float())
    assert logits.dtype == torch.float32  # the bias lifts the product
    # Factors and sum are rounded, each by at most eps / 2; the products are added in float32.
    bound = 2 * torch.finfo(dtype).eps * magnitudes.flatten(1)[:, :10]
    assert ((logits - expected).abs() <= bound).all()
    assert layer.to(dtype)(embeddings.to(dtype)).dtype == dtype


def test_wrong_sizes_are_named():
    for sizes, message in (
        ((8, 0, 1), 'num_classes must be at least 1, but is 0'),
        ((8, 5, 0), 'num_groups must be from 1 to num_classes=5, but is 0'),
        ((8, 5, 6), 'num_groups must be from 1 to num_classes=5, but is 6'),
        ((0, 5, 5), 'embed_dims must be at least 1, but is 0'),
    ):
        with pytest.raises(ValueError, match=message):
            GroupLinear(*sizes)


def test_repr_names_the_sizes():
    assert repr(GroupLinear(8, 10, 4)) == (
        'GroupLinear(embed_dims=8, num_classes=10, num_groups=4, group_size=3)'
    )
