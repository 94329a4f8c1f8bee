import importlib
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_attention import torch_attention

from mmpretrain_mldecoder.layers import MLDecoder, MLDecoderLayer

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

pytestmark = pytest.mark.usefixtures('float64')

# float64 on both sides: only the order of the sums differs.
CLOSE = dict(rtol=1e-10, atol=1e-10)
SMALL = dict(in_channels=12, embed_dims=16, num_heads=4, feedforward_channels=24)


def build(num_classes=10, num_groups=4, **arguments):
    torch.manual_seed(0)
    return MLDecoder(num_classes, num_groups=num_groups, **{**SMALL, **arguments})


class Scale(nn.Module):
    """Stands in for dropout, so that its places show in the values."""

    def forward(self, x):
        return 0.7 * x


def test_layer_is_the_published_arithmetic():
    torch.manual_seed(0)
    layer = MLDecoderLayer(16, 4, 24, drop_rate=0.0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    layer.dropout = dropout = Scale()
    attention = torch_attention(layer.attention)
    queries = torch.randn(3, 5, 16)
    memory = torch.randn(3, 7, 16)
    q = layer.query_norm(queries + dropout(queries))
    q = layer.attention_norm(q + dropout(attention(q, memory, memory)[0]))
    q = layer.ffn_norm(q + dropout(layer.ffn_out(dropout(torch.relu(layer.ffn_in(q))))))
    torch.testing.assert_close(layer(queries, memory), q, **CLOSE)


# ---- where the queries look


@torch.no_grad()
@pytest.mark.parametrize(
    ('num_classes', 'num_groups', 'num_layers'), [(10, 10, 1), (10, 4, 3), (1, 1, 1)]
)
def test_layers_and_weights_are_those_of_torch_multihead_attention(
    num_classes, num_groups, num_layers
):
    decoder = build(num_classes, num_groups, num_layers=num_layers).eval()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    feats = torch.randn(2, 12, 3, 4)
    tokens = torch.stack([feats[:, :, row, col] for row in range(3) for col in range(4)], dim=1)
    memory = (tokens @ decoder.input_proj.weight.T + decoder.input_proj.bias).clamp(min=0)
    q = decoder.queries.repeat(2, 1, 1)
    for layer in decoder.layers:
        q = layer.query_norm(2 * q)
        gathered, weights = torch_attention(layer.attention)(
            q, memory, memory, average_attn_weights=False
        )
        q = layer.attention_norm(q + gathered)
        q = layer.ffn_norm(q + layer.ffn_out(layer.ffn_in(q).relu()))
    assert weights.shape == (2, 4, num_groups, 12)
    torch.testing.assert_close(decoder(feats), decoder.group_linear(q), **CLOSE)
    for given in (feats, tokens):
        looked = decoder.attention_weights(given)
        torch.testing.assert_close(looked, weights, **CLOSE)
    twice = decoder.attention_weights(torch.cat([feats, feats]))
    torch.testing.assert_close(twice, torch.cat([weights, weights]), **CLOSE)


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
    ('sizes', 'shape'),
    [
        ((80, 80, 768, 2048), (2, 2048, 3, 4)),  # the recipe's, at its full width
        ((9605, 200, 64, 12), (2, 12, 3, 4)),  # 49 classes per query, 195 outputs dropped
        ((80, 30, 64, 12), (2, 7, 12)),  # tokens
    ],
)
def test_equals_published_head(timm_head, sizes, shape):
    torch.manual_seed(0)
    published, ours = timm_head.decoder_pair(*sizes)
    feats = torch.randn(shape, requires_grad=True)
    twin = feats.detach().clone().requires_grad_()
    # Frozen on both sides: neither gets a gradient. Freed, it is compared like the others.
    assert not published.query_embed.weight.requires_grad and not ours.queries.requires_grad
    published.query_embed.requires_grad_(True)
    ours.queries.requires_grad_(True)
    expected, logits = published(feats), ours(twin)
    torch.testing.assert_close(logits, expected, **CLOSE)

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


def test_map_is_a_set_of_tokens():
    decoder = build().eval()
    feats = torch.randn(2, 12, 3, 4)
    tokens = torch.stack([feats[:, :, row, col] for row in range(3) for col in range(4)], dim=1)
    expected = decoder(tokens)
    for given in (tokens.flip(1), feats, feats.to(memory_format=torch.channels_last)):
        torch.testing.assert_close(decoder(given), expected, **CLOSE)


# ---- training


@pytest.mark.parametrize(
    ('num_classes', 'num_groups', 'learn_queries', 'num_layers'),
    [(10, 10, False, 1), (10, 4, True, 2), (10, 1, False, 2), (1, 1, True, 1)],
)
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


def test_only_learned_queries_move():
    for learn_queries in (False, True):
        decoder = build(learn_queries=learn_queries)
        before = decoder.queries.detach().clone()
        optimizer = torch.optim.Adam(decoder.parameters(), lr=0.1, weight_decay=0.1)
        decoder(torch.randn(2, 12, 3, 3)).square().sum().backward()
        optimizer.step()
        assert decoder.queries.equal(before) is not learn_queries


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
    decoder = build(drop_rate=0.0, num_layers=num_layers, learn_queries=True)
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    feats = torch.randn(3, 12, 3, 3)
    logits, gradients = [], []
    for train in (True, False):
        logits.append(decoder.train(train)(feats))
        gradients.append(torch.autograd.grad(logits[-1].square().sum(), decoder.parameters()))
    torch.testing.assert_close(logits[1], logits[0], **CLOSE)
    for shared, own in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(shared, own, **CLOSE)


def test_default_sizes():
    with torch.device('meta'):
        decoder = MLDecoder(80, in_channels=2048)
        assert MLDecoder(1000, in_channels=2048).queries.shape == (100, 768)
    assert decoder.queries.shape == (80, 768)
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
    decoder = build().eval()
    feats = torch.randn(2, 12, 3, 3)
    expected, weights = decoder(feats), decoder.attention_weights(feats)
    decoder.float()
    with torch.autocast('cpu', dtype):
        logits = decoder(feats.float())
        decoder.train()(feats.float()).sum().backward()
    # Some 20 roundings by at most eps / 2, of values that the norms keep at size 1.
    close = dict(rtol=0, atol=8 * torch.finfo(dtype).eps, check_dtype=False)
    torch.testing.assert_close(logits, expected, **close)
    assert logits.dtype == torch.float32
    assert all(value.grad.isfinite().all() for value in decoder.parameters() if value.requires_grad)
    half = decoder.eval().to(dtype)
    assert half(feats.to(dtype)).dtype == half.attention_weights(feats.to(dtype)).dtype == dtype
    torch.testing.assert_close(half(feats.to(dtype)), expected, **close)
    torch.testing.assert_close(half.attention_weights(feats.to(dtype)), weights, **close)


@pytest.mark.parametrize('train', [False, True])
def test_compiles_to_one_graph(train):
    decoder = build(drop_rate=0.0).train(train)
    compiled = torch.compile(decoder, backend='aot_eager', fullgraph=True)
    feats = torch.randn(2, 12, 3, 3)
    logits = compiled(feats)
    torch.testing.assert_close(logits, decoder(feats), **CLOSE)
    expected = torch.autograd.grad(decoder(feats).square().sum(), decoder.input_proj.weight)
    gradient = torch.autograd.grad(logits.square().sum(), decoder.input_proj.weight)
    torch.testing.assert_close(gradient, expected, **CLOSE)


@pytest.mark.parametrize(
    ('strict', 'shape'), [(False, (2, 12, 3, 3)), (True, (2, 9, 12))], ids=['map', 'tokens']
)
def test_exports_with_free_batch(strict, shape):
    decoder = build().eval()
    batch = torch.export.Dim('batch', min=1, max=1024)
    program = torch.export.export(
        decoder, (torch.randn(shape),), dynamic_shapes=({0: batch},), strict=strict
    )
    for batch_size in (1, 2, 5):
        feats = torch.randn(batch_size, *shape[1:])
        torch.testing.assert_close(program.module()(feats), decoder(feats), **CLOSE)


# ---- errors


def test_wrong_arguments_are_named():
    for arguments, message in (
        (dict(num_classes=0, num_groups=None), 'num_classes must be at least 1, but is 0'),
        (dict(num_groups=11), 'num_groups must be from 1 to num_classes=10, but is 11'),
        (dict(in_channels=0), 'in_channels must be at least 1, but is 0'),
        (dict(num_heads=3), 'embed_dims=16 and num_heads=3'),
        (dict(feedforward_channels=0), 'feedforward_channels must be at least 1, but is 0'),
        (dict(num_layers=0), 'num_layers must be at least 1, but is 0'),
        (dict(drop_rate=1), r'drop_rate must be in \[0, 1\), but is 1'),
    ):
        with pytest.raises(ValueError, match=message):
            build(**arguments)


def test_wrong_input_is_named():
    for shape, message in (
        ((2, 8, 3, 3), r'in_channels=12 channels, but has 8 \(shape \(2, 8, 3, 3\)'),
        ((2, 12, 9), r'in_channels=12 channels, but has 9 \(shape \(2, 12, 9\)'),
        ((2, 12), r'but has shape \(2, 12\)'),
    ):
        with pytest.raises(ValueError, match=message):
            build()(torch.zeros(shape))
