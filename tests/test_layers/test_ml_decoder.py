import importlib
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mmpretrain_mldecoder.layers import MLDecoder, MLDecoderLayer

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

SMALL = dict(in_channels=12, embed_dims=16, num_heads=4, feedforward_channels=24)
SPLITS = [(10, 10), (10, 4), (10, 1), (1, 1)]  # (num_classes, num_groups)


def build(num_classes=10, num_groups=4, **arguments):
    torch.manual_seed(0)
    return MLDecoder(num_classes, num_groups=num_groups, **{**SMALL, **arguments})


def fused_projection(attention, kind):
    projections = (attention.query_proj, attention.key_proj, attention.value_proj)
    return torch.cat([getattr(proj, kind) for proj in projections])


def torch_attention(layer):
    """``nn.MultiheadAttention`` with the weights of a layer's attention."""
    attention = nn.MultiheadAttention(16, 4, batch_first=True).double()
    attention.in_proj_weight = nn.Parameter(fused_projection(layer.attention, 'weight'))
    attention.in_proj_bias = nn.Parameter(fused_projection(layer.attention, 'bias'))
    attention.out_proj = layer.attention.out_proj
    return attention


class Scale(nn.Module):
    """Stands in for dropout, so that its places show in the values."""

    def forward(self, x):
        return 0.7 * x


def test_layer_is_the_published_arithmetic():
    torch.manual_seed(0)
    layer = MLDecoderLayer(16, 4, 24, drop_rate=0.0).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    layer.dropout = dropout = Scale()
    attention = torch_attention(layer)
    queries = torch.randn(3, 5, 16, dtype=torch.double)
    memory = torch.randn(3, 7, 16, dtype=torch.double)
    q = layer.query_norm(queries + dropout(queries))
    q = layer.attention_norm(q + dropout(attention(q, memory, memory)[0]))
    q = layer.ffn_norm(q + dropout(layer.ffn_out(dropout(torch.relu(layer.ffn_in(q))))))
    # float64 on both sides: only the order of the sums differs.
    torch.testing.assert_close(layer(queries, memory), q, rtol=1e-11, atol=1e-11)


# ---- where the queries look


@torch.no_grad()
@pytest.mark.parametrize('num_layers', [1, 3])
@pytest.mark.parametrize(('num_classes', 'num_groups'), SPLITS)
def test_attention_weights_are_those_of_torch_multihead_attention(
    num_classes, num_groups, num_layers
):
    decoder = build(num_classes, num_groups, num_layers=num_layers).eval().double()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    feats = torch.randn(2, 12, 3, 4, dtype=torch.double)
    tokens = torch.stack([feats[:, :, row, col] for row in range(3) for col in range(4)], dim=1)
    memory = (tokens @ decoder.input_proj.weight.T + decoder.input_proj.bias).clamp(min=0)
    q = decoder.queries.repeat(2, 1, 1)
    for layer in decoder.layers:
        q = layer.query_norm(2 * q)
        gathered, weights = torch_attention(layer)(q, memory, memory, average_attn_weights=False)
        q = layer.attention_norm(q + gathered)
        q = layer.ffn_norm(q + layer.ffn_out(layer.ffn_in(q).relu()))
    assert weights.shape == (2, 4, num_groups, 12)
    # float64 on both sides: only the order of the sums differs.
    for given in (feats, tokens):
        looked = decoder.attention_weights(given)
        torch.testing.assert_close(looked, weights, rtol=1e-11, atol=1e-11)
    twice = decoder.attention_weights(torch.cat([feats, feats]))
    torch.testing.assert_close(twice, torch.cat([weights, weights]), rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_blanking_where_a_query_looks_changes_its_classes_most():
    decoder = build(num_groups=10, num_heads=1).eval()
    decoder.layers[0].attention.key_proj.weight.mul_(40)  # peaked, as a trained model's
    tokens = torch.randn(1, 9, 12)
    weights = decoder.attention_weights(tokens)[0, 0]  # (K, L)
    blanked = tokens.repeat(9, 1, 1)
    blanked[range(9), range(9)] = 0
    changes = (decoder(blanked) - decoder(tokens)).abs().T  # (C, L), one class a query
    peaked = weights.amax(1) > 0.9
    assert peaked.sum() >= 3
    assert changes[peaked].argmax(1).equal(weights[peaked].argmax(1))
    assert len(weights[peaked].argmax(1).unique()) > 1


def test_attention_weights_in_bfloat16():
    decoder = build().eval()
    feats = torch.randn(2, 12, 3, 3)
    expected = decoder.attention_weights(feats)
    weights = decoder.to(torch.bfloat16).attention_weights(feats.bfloat16())
    assert weights.dtype == torch.bfloat16
    # bfloat16 rounds by 0.4 %; scores below 1 move weights about as much.
    torch.testing.assert_close(weights.float(), expected, rtol=0.05, atol=0)


def test_attention_weights_want_evaluation_mode():
    decoder = build()
    with pytest.raises(RuntimeError, match=r'call eval\(\) first'):
        decoder.attention_weights(torch.randn(2, 12, 3, 3))
    with pytest.raises(ValueError, match='in_channels=12 channels, but has 8'):
        decoder.eval().attention_weights(torch.randn(2, 8, 3, 3))


# ---- against timm's copy of the authors' code


@pytest.fixture
def timm_head():
    """The module of benchmarks/ that holds timm's decoder beside ours."""
    pytest.importorskip('timm.layers.ml_decoder')
    return importlib.import_module('timm_head')


@pytest.mark.parametrize(
    ('num_classes', 'num_groups', 'embed_dims', 'in_channels'),
    [
        (80, 80, 768, 2048),  # the recipe's, at its full width
        (1000, 100, 64, 12),
        (9605, 200, 64, 12),  # 49 classes a query, 195 outputs dropped
        (80, 30, 64, 12),
    ],
)
@pytest.mark.parametrize('kind', ['map', 'tokens'])
def test_equals_published_head(timm_head, num_classes, num_groups, embed_dims, in_channels, kind):
    torch.manual_seed(0)
    sizes = (num_classes, num_groups, embed_dims, in_channels)
    published, ours = (decoder.double() for decoder in timm_head.decoder_pair(*sizes))
    shape = (2, in_channels, 3, 4) if kind == 'map' else (2, 7, in_channels)
    feats = torch.randn(shape, dtype=torch.double, requires_grad=True)
    twin = feats.detach().clone().requires_grad_()
    # Frozen on both sides: neither gets a gradient. Freed, it is compared like the others.
    assert not published.query_embed.weight.requires_grad and not ours.queries.requires_grad
    published.query_embed.requires_grad_(True)
    ours.queries.requires_grad_(True)
    expected, logits = published(feats), ours(twin)
    # float64 on both sides: only the order of the sums differs.
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)

    # Not a plain sum, so that every logit has another gradient.
    expected.square().sum().backward()
    logits.square().sum().backward()
    gradients = {'feats': twin.grad} | {n: value.grad for n, value in ours.named_parameters()}
    theirs = {'feats': feats.grad} | timm_head.published_tensors(
        published, lambda value: value.grad
    )
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        # A bias of the keys shifts all scores of a query alike: softmax cancels it, and what is
        # left is the rounding error of gradients of the size of the queries' projection.
        size = theirs[name.replace('key_proj.bias', 'query_proj.bias')].abs().max().item()
        assert size > 0, name
        apart = (gradient - theirs[name]).abs().max().item()
        assert apart < 1e-10 * size, f'{name}: {apart} of {size}'


# ---- inputs


def test_map_is_read_as_tokens_row_by_row():
    decoder = build().eval()
    feats = torch.randn(2, 12, 3, 4)
    tokens = torch.stack([feats[:, :, row, col] for row in range(3) for col in range(4)], dim=1)
    # float32 rounding of values of size 1.
    torch.testing.assert_close(decoder(feats), decoder(tokens), rtol=1e-5, atol=1e-5)


def test_channels_last_gives_the_same_answer():
    decoder = build().eval()
    feats = torch.randn(2, 12, 3, 4)
    channels_last = feats.to(memory_format=torch.channels_last)
    torch.testing.assert_close(decoder(channels_last), decoder(feats), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(('num_classes', 'num_groups'), SPLITS)
@pytest.mark.parametrize('learn_queries', [False, True])
def test_doubled_batch_gives_doubled_answer(num_classes, num_groups, learn_queries):
    decoder = build(num_classes, num_groups, learn_queries=learn_queries).eval()
    feats = torch.randn(2, 12, 3, 3)
    logits = decoder(feats)
    assert logits.shape == (2, num_classes)
    doubled = decoder(torch.cat([feats, feats]))
    torch.testing.assert_close(doubled, torch.cat([logits, logits]), rtol=1e-5, atol=1e-5)


def test_the_order_of_tokens_does_not_matter():
    decoder = build().eval()
    tokens = torch.randn(2, 9, 12)
    torch.testing.assert_close(decoder(tokens.flip(1)), decoder(tokens), rtol=1e-5, atol=1e-5)


# ---- training


@pytest.mark.parametrize(('num_classes', 'num_groups'), SPLITS)
@pytest.mark.parametrize('learn_queries', [False, True])
@pytest.mark.parametrize('num_layers', [1, 2])
def test_gradient_reaches_every_trainable_parameter(
    num_classes, num_groups, learn_queries, num_layers
):
    decoder = build(num_classes, num_groups, learn_queries=learn_queries, num_layers=num_layers)
    decoder(torch.randn(2, 12, 3, 3)).square().sum().backward()
    frozen = [name for name, value in decoder.named_parameters() if not value.requires_grad]
    assert frozen == ([] if learn_queries else ['queries'])
    for name, value in decoder.named_parameters():
        if name in frozen:
            assert value.grad is None
        elif not name.endswith('key_proj.bias'):
            # A bias of the keys shifts all scores of a query alike: softmax cancels it.
            assert value.grad.abs().sum() > 0, name


@pytest.mark.parametrize('learn_queries', [False, True])
def test_only_learned_queries_move(learn_queries):
    decoder = build(learn_queries=learn_queries)
    before = decoder.queries.detach().clone()
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.1, weight_decay=0.1)
    decoder(torch.randn(2, 12, 3, 3)).square().sum().backward()
    optimizer.step()
    assert decoder.queries.equal(before) is not learn_queries
    assert decoder.queries.shape == (4, 16)


def test_dropout_acts_in_training_only():
    decoder = build(drop_rate=0.5)
    feats = torch.randn(2, 12, 3, 3)
    assert not decoder.train()(feats).equal(decoder(feats))
    assert decoder.eval()(feats).equal(decoder(feats))
    without = build(drop_rate=0.0).train()
    assert without(feats).equal(without.eval()(feats))


@pytest.mark.parametrize('num_layers', [1, 2])
def test_queries_shared_by_the_samples_are_those_of_each(num_layers):
    # Training gives each sample queries of its own, evaluation all of them one set.
    decoder = build(drop_rate=0.0, num_layers=num_layers, learn_queries=True).double()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    feats = torch.randn(3, 12, 3, 3, dtype=torch.double)
    logits, gradients = [], []
    for train in (True, False):
        logits.append(decoder.train(train)(feats))
        gradients.append(torch.autograd.grad(logits[-1].square().sum(), decoder.parameters()))
    # float64 on both sides: only the order of the sums differs.
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-11, atol=1e-11)
    for shared, own in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(shared, own, rtol=1e-9, atol=1e-9)


def test_layers_are_applied_one_after_another():
    decoder = build(num_layers=3).eval()
    feats = torch.randn(2, 12, 3, 3)
    memory = torch.relu(decoder.input_proj(feats.flatten(2).transpose(1, 2)))
    queries = torch.stack([decoder.queries, decoder.queries])
    for layer in decoder.layers:
        queries = layer(queries, memory)
    torch.testing.assert_close(decoder(feats), decoder.group_linear(queries))
    first, second = decoder.layers[0].ffn_in.weight, decoder.layers[1].ffn_in.weight
    assert not first.equal(second)


@pytest.mark.parametrize(('num_classes', 'num_groups'), [(80, 80), (100, 100), (1000, 100), (1, 1)])
def test_default_sizes(num_classes, num_groups):
    with torch.device('meta'):
        decoder = MLDecoder(num_classes, in_channels=2048)
    assert decoder.queries.shape == (num_groups, 768)
    assert len(decoder.layers) == 1
    assert decoder.layers[0].ffn_in.weight.shape == (2048, 768)
    assert decoder.layers[0].attention.num_heads == 8
    assert decoder.layers[0].dropout.p == decoder.layers[0].attention.drop_rate == 0.1
    assert not decoder.queries.requires_grad


def test_initial_weights_are_torch_defaults():
    torch.manual_seed(0)
    decoder = MLDecoder(50, in_channels=96, embed_dims=128, feedforward_channels=256)
    # 6,400 queries: the spread is known to 0.9 %, the mean to 1.3 %.
    assert decoder.queries.std().item() == pytest.approx(1, abs=0.04)
    assert abs(decoder.queries.mean().item()) < 0.05
    layer = decoder.layers[0]
    for linear in (decoder.input_proj, layer.ffn_in, layer.ffn_out):
        bound = 1 / math.sqrt(linear.in_features)  # of weights and biases, uniform
        assert bound * 0.99 < linear.weight.abs().max().item() <= bound
        assert linear.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert abs(linear.weight.mean().item()) < 0.05 * bound
        assert bound * 0.9 < linear.bias.abs().max().item() <= bound
        assert linear.bias.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.2)
    for norm in (layer.query_norm, layer.attention_norm, layer.ffn_norm):
        assert norm.weight.eq(1).all()
        assert norm.bias.eq(0).all()
        assert norm.eps == 1e-5


# ---- precision, compilers, exporters


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_and_half_precision(dtype):
    decoder = build()
    feats = torch.randn(2, 12, 3, 3)
    expected = decoder.eval()(feats)
    with torch.autocast('cpu', dtype):
        logits = decoder(feats)
        decoder.train()(feats).sum().backward()
    # Norms keep the embeddings at size 1; bfloat16 has 3 digits, float16 more.
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.05)
    assert logits.dtype == torch.float32
    assert all(value.grad.isfinite().all() for value in decoder.parameters() if value.requires_grad)
    half = decoder.eval().to(dtype)(feats.to(dtype))
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize('train', [False, True])
def test_compiles_to_one_graph(train):
    decoder = build(drop_rate=0.0).train(train)
    compiled = torch.compile(decoder, backend='aot_eager', fullgraph=True)
    feats = torch.randn(2, 12, 3, 3)
    logits = compiled(feats)
    torch.testing.assert_close(logits, decoder(feats), rtol=1e-5, atol=1e-5)
    expected = torch.autograd.grad(decoder(feats).square().sum(), decoder.input_proj.weight)
    gradient = torch.autograd.grad(logits.square().sum(), decoder.input_proj.weight)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('strict', [False, True])
@pytest.mark.parametrize('shape', [(2, 12, 3, 3), (2, 9, 12)], ids=['map', 'tokens'])
def test_exports_with_free_batch(strict, shape):
    decoder = build().eval()
    batch = torch.export.Dim('batch', min=1)
    program = torch.export.export(
        decoder, (torch.randn(shape),), dynamic_shapes=({0: batch},), strict=strict
    )
    for batch_size in (1, 2, 5):
        feats = torch.randn(batch_size, *shape[1:])
        torch.testing.assert_close(program.module()(feats), decoder(feats), rtol=1e-5, atol=1e-5)


# ---- errors


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_classes=0, num_groups=None), 'num_classes must be at least 1, but is 0'),
        (dict(num_groups=11), 'num_groups must be from 1 to num_classes=10, but is 11'),
        (dict(num_groups=0), 'num_groups must be from 1 to num_classes=10, but is 0'),
        (dict(in_channels=0), 'in_channels must be at least 1, but is 0'),
        (dict(num_heads=3), 'embed_dims=16 and num_heads=3'),
        (dict(feedforward_channels=0), 'feedforward_channels must be at least 1, but is 0'),
        (dict(num_layers=0), 'num_layers must be at least 1, but is 0'),
        (dict(drop_rate=1), r'drop_rate must be in \[0, 1\), but is 1'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    ('shape', 'message'),
    [
        ((2, 8, 3, 3), r'in_channels=12 channels, but has 8 \(shape \(2, 8, 3, 3\)'),
        ((2, 12, 9), r'in_channels=12 channels, but has 9 \(shape \(2, 12, 9\)'),
        ((2, 12), r'but has shape \(2, 12\)'),
    ],
)
def test_wrong_input_is_named(shape, message):
    with pytest.raises(ValueError, match=message):
        build()(torch.zeros(shape))
