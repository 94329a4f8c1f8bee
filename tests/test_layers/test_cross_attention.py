import math

import pytest
import torch
from torch import nn
from torch_attention import torch_attention

from mmpretrain_mldecoder.layers import CrossAttention

pytestmark = pytest.mark.usefixtures('float64')

# float64 on both sides: only the order of the sums differs.
CLOSE = dict(rtol=1e-12, atol=1e-12)


def randomise_biases(layer):
    for module in layer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.bias)
    return layer


@pytest.mark.parametrize('num_heads', [1, 2, 4])
def test_equals_torch_multihead_attention(num_heads):
    torch.manual_seed(0)
    layer = randomise_biases(CrossAttention(16, num_heads))
    attention = torch_attention(layer)
    queries = torch.randn(3, 5, 16)
    memory = torch.randn(3, 7, 16)
    expected, weights = attention(queries, memory, memory, average_attn_weights=False)
    torch.testing.assert_close(layer(queries, memory), expected, **CLOSE)
    torch.testing.assert_close(layer.attention_weights(queries, memory), weights, **CLOSE)


def test_one_set_of_queries_asks_for_all_samples():
    layer = randomise_biases(CrossAttention(12, 3))
    queries = torch.randn(1, 4, 12)
    memory = torch.randn(3, 6, 12)
    for function in (layer, layer.attention_weights):
        expected = function(queries.repeat(3, 1, 1), memory)
        torch.testing.assert_close(function(queries, memory), expected, **CLOSE)


def test_attention_weights_sum_to_one_and_ignore_dropout():
    layer = CrossAttention(16, 4, drop_rate=0.5).train()
    weights = layer.attention_weights(torch.randn(2, 3, 16), torch.randn(2, 9, 16))
    assert weights.shape == (2, 4, 3, 9)
    torch.testing.assert_close(weights.sum(3), torch.ones(2, 4, 3))


def test_dropout_acts_on_the_attention_weights_in_training_only():
    torch.manual_seed(0)
    layer = CrossAttention(4, 1, drop_rate=0.25)
    for proj in (layer.value_proj, layer.out_proj):
        nn.init.eye_(proj.weight)
    queries, memory = torch.zeros(1, 4000, 4), torch.ones(1, 1, 4)
    # One token: its weight is 1, which dropout turns into 0 or 1 / (1 - 0.25).
    output = layer.train()(queries, memory)
    torch.testing.assert_close(output.unique(), torch.tensor([0.0, 4 / 3]))
    kept = output[0, :, 0].ne(0).float().mean().item()
    assert kept == pytest.approx(0.75, abs=0.03)  # 4 times sqrt(0.75 * 0.25 / 4000)
    torch.testing.assert_close(layer.eval()(queries, memory), torch.ones(1, 4000, 4))


def test_initial_weights_are_those_of_torch_multihead_attention():
    torch.manual_seed(0)
    layer, reference = CrossAttention(64, 4), nn.MultiheadAttention(64, 4)
    for name in ('query_proj', 'key_proj', 'value_proj', 'out_proj'):
        proj = getattr(layer, name)
        # Xavier uniform of a (3 * 64, 64) matrix; the output is torch's Linear, uniform in 1 / 8.
        is_output = name == 'out_proj'
        bound = 1 / 8 if is_output else math.sqrt(6 / (4 * 64))
        assert bound * 0.995 < proj.weight.abs().max().item() <= bound
        # The spread of 4,096 samples is known to 0.7 %, the mean to 1.6 %.
        assert proj.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert abs(proj.weight.mean().item()) < 0.05 * bound
        assert proj.bias.eq(0).all()
        theirs = reference.out_proj.weight if is_output else reference.in_proj_weight
        assert proj.weight.std().item() == pytest.approx(theirs.std().item(), rel=0.03)


def test_wrong_arguments_are_named():
    for arguments, message in (
        (dict(embed_dims=10, num_heads=4), 'embed_dims=10 and num_heads=4'),
        (dict(embed_dims=10, num_heads=0), 'embed_dims=10 and num_heads=0'),
        (dict(embed_dims=0, num_heads=1), 'embed_dims=0 and num_heads=1'),
        (dict(embed_dims=8, num_heads=4, drop_rate=1.0), r'drop_rate must be in \[0, 1\)'),
    ):
        with pytest.raises(ValueError, match=message):
            CrossAttention(**arguments)
