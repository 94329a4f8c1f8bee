import math

import pytest
import torch
from torch import nn

from mmpretrain_mldecoder.layers import CrossAttention

PROJECTIONS = ('query_proj', 'key_proj', 'value_proj')


def torch_attention(layer, drop_rate=0.0):
    """``nn.MultiheadAttention`` with the weights of our layer."""
    embed_dims = layer.out_proj.in_features
    attention = nn.MultiheadAttention(
        embed_dims, layer.num_heads, dropout=drop_rate, batch_first=True
    )
    projections = [getattr(layer, name) for name in PROJECTIONS]
    attention.load_state_dict(
        {
            'in_proj_weight': torch.cat([proj.weight for proj in projections]),
            'in_proj_bias': torch.cat([proj.bias for proj in projections]),
            'out_proj.weight': layer.out_proj.weight,
            'out_proj.bias': layer.out_proj.bias,
        }
    )
    return attention.to(layer.out_proj.weight.dtype)


def randomise_biases(layer):
    for module in layer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.bias)
    return layer


@pytest.mark.parametrize('num_heads', [1, 2, 4])
def test_equals_torch_multihead_attention(num_heads):
    torch.manual_seed(0)
    layer = randomise_biases(CrossAttention(16, num_heads)).double()
    attention = torch_attention(layer)
    queries = torch.randn(3, 5, 16, dtype=torch.double)
    memory = torch.randn(3, 7, 16, dtype=torch.double)
    expected, weights = attention(queries, memory, memory, average_attn_weights=False)
    # float64 on both sides: only the order of the sums differs.
    torch.testing.assert_close(layer(queries, memory), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        layer.attention_weights(queries, memory), weights, rtol=1e-12, atol=1e-12
    )


@torch.no_grad()
def test_equals_softmax_written_out():
    torch.manual_seed(0)
    layer = randomise_biases(CrossAttention(12, 3)).double()
    queries = torch.randn(2, 4, 12, dtype=torch.double)
    memory = torch.randn(2, 6, 12, dtype=torch.double)
    query, key, value = (
        getattr(layer, name)(tokens)
        for name, tokens in zip(PROJECTIONS, (queries, memory, memory), strict=True)
    )
    expected = torch.zeros(2, 4, 12, dtype=torch.double)
    for head in range(3):
        channels = slice(4 * head, 4 * head + 4)
        for sample in range(2):
            for row in range(4):
                scores = [
                    math.exp(float(query[sample, row, channels] @ token[channels]) / math.sqrt(4))
                    for token in key[sample]
                ]
                for score, token in zip(scores, value[sample], strict=True):
                    expected[sample, row, channels] += score / sum(scores) * token[channels]
    torch.testing.assert_close(
        layer(queries, memory), layer.out_proj(expected), rtol=1e-12, atol=1e-12
    )


def test_one_set_of_queries_asks_for_all_samples():
    layer = randomise_biases(CrossAttention(12, 3)).double()
    queries = torch.randn(1, 4, 12, dtype=torch.double)
    memory = torch.randn(3, 6, 12, dtype=torch.double)
    for function in (layer, layer.attention_weights):
        expected = function(queries.repeat(3, 1, 1), memory)
        torch.testing.assert_close(function(queries, memory), expected, rtol=1e-12, atol=1e-12)


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


@pytest.mark.parametrize('name', [*PROJECTIONS, 'out_proj'])
def test_initial_weights_are_those_of_torch_multihead_attention(name):
    torch.manual_seed(0)
    embed_dims = 64
    proj = getattr(CrossAttention(embed_dims, 4), name)
    # Xavier uniform of a (3 * D, D) matrix; the output is torch's Linear, uniform in 1 / sqrt(D).
    bound = math.sqrt(6 / (4 * embed_dims)) if name in PROJECTIONS else 1 / math.sqrt(embed_dims)
    assert bound * 0.995 < proj.weight.abs().max().item() <= bound
    # A uniform's spread is bound / sqrt(3), known to 0.7 % from 4,096 samples; the mean to 1.6 %.
    assert proj.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert abs(proj.weight.mean().item()) < 0.05 * bound
    assert proj.bias.eq(0).all()

    reference = nn.MultiheadAttention(embed_dims, 4)
    fused = reference.in_proj_weight if name in PROJECTIONS else reference.out_proj.weight
    assert proj.weight.std().item() == pytest.approx(fused.std().item(), rel=0.03)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(embed_dims=10, num_heads=4), 'embed_dims=10 and num_heads=4'),
        (dict(embed_dims=10, num_heads=0), 'embed_dims=10 and num_heads=0'),
        (dict(embed_dims=0, num_heads=1), 'embed_dims=0 and num_heads=1'),
        (dict(embed_dims=8, num_heads=4, drop_rate=1.0), r'drop_rate must be in \[0, 1\)'),
        (dict(embed_dims=8, num_heads=4, drop_rate=-0.1), 'but is -0.1'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        CrossAttention(**arguments)
