import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmpretrain_mldecoder  # noqa: F401  (registers the heads)

pytestmark = pytest.mark.usefixtures('float64')

DECODER = dict(num_groups=3, embed_dims=16, num_heads=2, feedforward_channels=24)
RESNET = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
VIT = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=24),
    img_size=64,
)
# Backbone and the channels of its last output, at 64 px; every backbone gives more than 1 position.
BACKBONES = {
    'resnet': (RESNET, 64),
    'resnet_stages': (dict(RESNET, out_indices=(1, 2)), 32),
    'resnet_vd': (dict(RESNET, type='ResNetVd'), 64),
    'convnext': (
        dict(
            type='ConvNeXt',
            arch=dict(depths=[1, 1, 1, 1], channels=[8, 8, 8, 24]),
            gap_before_final_norm=False,
        ),
        24,
    ),
    'swin': (
        dict(
            type='SwinTransformer',
            arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]),
            img_size=64,
            window_size=2,
        ),
        64,
    ),
    'vit_map': (dict(VIT, out_type='featmap'), 16),
    'vit_tokens': (dict(VIT, out_type='raw'), 16),
    'timm_stages': (dict(type='TIMMBackbone', model_name='resnet18', features_only=True), 512),
    'timm_tokens': (
        dict(
            type='TIMMBackbone',
            model_name='vit_tiny_patch16_224',
            depth=1,
            embed_dim=24,
            num_heads=2,
            img_size=64,
        ),
        24,
    ),
}


def build_head(name='MLDecoderHead', **arguments):
    torch.manual_seed(0)
    return MODELS.build(
        {'type': name, 'num_classes': 7, 'in_channels': 12, **DECODER, **arguments}
    ).eval()


def build_classifier(backbone, in_channels, head='MLDecoderHead', **arguments):
    if backbone['type'] == 'TIMMBackbone':
        pytest.importorskip('timm')
    head = dict(type=head, num_classes=7, in_channels=in_channels, **DECODER, **arguments)
    torch.manual_seed(0)
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, head=head))
    model.init_weights()
    return model


def samples(*labels):
    return [DataSample().set_gt_label(np.array(label, dtype=np.int64)) for label in labels]


# ---- on every kind of backbone


@pytest.mark.parametrize('name', BACKBONES)
def test_multi_label_head_trains_predicts_and_attends(name):
    backbone, in_channels = BACKBONES[name]
    model = build_classifier(backbone, in_channels)
    inputs = torch.randn(2, 3, 64, 64)
    data_samples = samples([0, 3], [])
    model.train()
    loss = model(inputs, data_samples, mode='loss')['loss']
    loss.backward()
    assert loss.isfinite()
    assert model.head.decoder.queries.grad is None
    gradient = next(v for v in model.backbone.parameters() if v.requires_grad).grad
    assert gradient.abs().sum() > 0

    model.eval()
    logits = model(inputs)
    assert logits.shape == (2, 7)
    results = model(inputs, data_samples, mode='predict')
    for sample, result, logit in zip(data_samples, results, logits, strict=True):
        assert result is sample
        torch.testing.assert_close(result.pred_score, 1 / (1 + torch.exp(-logit)))
        assert result.pred_label.tolist() == [i for i in range(7) if logit[i] >= 0]  # score 0.5

    maps = model.head.attention_maps(model.extract_feat(inputs))
    side = 4 if 'vit' in name or name in ('resnet_stages', 'timm_tokens') else 2
    assert maps.shape == (2, 2, 3, side, side)
    torch.testing.assert_close(maps.sum((3, 4)), torch.ones(2, 2, 3))


@pytest.mark.parametrize('name', ['resnet', 'vit_tokens'])
def test_single_label_head_trains_and_predicts(name):
    backbone, in_channels = BACKBONES[name]
    model = build_classifier(backbone, in_channels, 'MLDecoderClsHead', topk=(1, 2), cal_acc=True)
    inputs = torch.randn(2, 3, 64, 64)
    data_samples = samples([5], [2])
    losses = model.train()(inputs, data_samples, mode='loss')
    losses['loss'].backward()
    assert set(losses) == {'loss', 'accuracy_top-1', 'accuracy_top-2'}

    logits = model.eval()(inputs)
    expected = -(logits[0, 5].exp() / logits[0].exp().sum()).log()
    expected -= (logits[1, 2].exp() / logits[1].exp().sum()).log()
    loss = model(inputs, data_samples, mode='loss')['loss']
    torch.testing.assert_close(loss, expected / 2)  # the host's mean over the batch
    for result, logit in zip(model(inputs, data_samples, mode='predict'), logits, strict=True):
        torch.testing.assert_close(result.pred_score, logit.exp() / logit.exp().sum())
        assert result.pred_label.tolist() == [logit.argmax()]


@pytest.mark.parametrize(
    ('head', 'backbone', 'option'),
    [
        (
            'MLDecoderHead',
            dict(BACKBONES['convnext'][0], gap_before_final_norm=True),
            'gap_before_final_norm=False',
        ),
        ('MLDecoderHead', VIT, "out_type='featmap'"),
        ('MLDecoderClsHead', dict(VIT, out_type='avg_featmap'), "out_type='featmap'"),
    ],
)
def test_pooled_features_are_refused_with_the_option_to_set(head, backbone, option):
    model = build_classifier(backbone, 24, head)
    with pytest.raises(ValueError, match=rf'{head} attends to .* pooled.*{option}'):
        model(torch.randn(2, 3, 64, 64))


# ---- which features are read


def test_last_output_is_read():
    head = build_head()
    last = torch.randn(2, 12, 3, 3)
    logits = head((torch.randn(2, 5, 6, 6), last))
    assert logits.equal(head.decoder(last))
    assert head.pre_logits((None, last)) is last


def test_class_token_is_one_more_token_unless_dropped():
    tokens = torch.randn(2, 10, 12)
    reading, dropping = build_head(), build_head(with_cls_token=False)
    other_cls_token = torch.cat([torch.randn(2, 1, 12), tokens[:, 1:]], dim=1)
    assert not reading((tokens,)).equal(reading((other_cls_token,)))
    assert dropping((tokens,)).equal(dropping((other_cls_token,)))
    assert dropping((tokens,)).equal(reading((tokens[:, 1:],)))
    feature_map = torch.randn(2, 12, 3, 3)
    assert dropping((feature_map,)).equal(reading((feature_map,)))


# ---- attention maps


@pytest.mark.parametrize('name', ['MLDecoderHead', 'MLDecoderClsHead'])
def test_attention_map_has_the_weight_of_each_cell_in_its_place(name):
    head = build_head(name)
    feats = torch.randn(2, 12, 3, 5)
    maps = head.attention_maps((torch.zeros(2, 4, 6, 10), feats))
    weights = head.decoder.attention_weights(feats)
    assert maps.shape == (2, 2, 3, 3, 5)
    for row in range(3):
        for column in range(5):
            assert maps[..., row, column].equal(weights[..., 5 * row + column])


def test_attention_maps_of_tokens_leave_a_class_token_out():
    tokens = torch.randn(2, 9, 12)
    feature_map = tokens.transpose(1, 2).unflatten(2, (3, 3))
    with_class_token = torch.cat([torch.randn(2, 1, 12), tokens], dim=1)
    head, dropping = build_head(), build_head(with_cls_token=False)
    expected = head.attention_maps((feature_map,))
    # The softmax over nine of ten tokens is that of the nine, scaled.
    for maps in (
        head.attention_maps((tokens,)),
        head.attention_maps((with_class_token,)),
        dropping.attention_maps((with_class_token,)),
    ):
        torch.testing.assert_close(maps, expected, rtol=1e-10, atol=1e-10)


def test_attention_map_is_empty_where_a_class_token_got_everything():
    head = build_head()
    torch.nn.init.zeros_(head.decoder.input_proj.bias)
    torch.nn.init.constant_(head.decoder.queries, 0)
    layer = head.decoder.layers[0]
    torch.nn.init.constant_(layer.query_norm.bias, 1)
    torch.nn.init.constant_(layer.attention.query_proj.weight, 1)
    torch.nn.init.constant_(layer.attention.key_proj.weight, 1)
    tokens = torch.zeros(1, 5, 12)
    tokens[:, 0] = 1e4 * head.decoder.input_proj.weight.sum(0)
    assert head.attention_maps((tokens,)).eq(0).all()


def test_attention_maps_refuse_what_has_no_place_in_the_image():
    with pytest.raises(ValueError, match=r'8 tokens are no square.*class token.*featmap'):
        build_head().attention_maps((torch.randn(2, 8, 12),))
    with pytest.raises(ValueError, match='pooled'):
        build_head().attention_maps((torch.randn(2, 12),))


# ---- targets and loss


class Recorder(torch.nn.Module):
    """A loss that keeps what it was given."""

    def forward(self, pred, target, **kwargs):
        self.target, self.kwargs = target, kwargs
        return pred.sum()


def targets_of(data_samples):
    recorder = Recorder()
    head = build_head(loss=recorder)
    losses = head.loss((torch.randn(len(data_samples), 12, 2, 2),), data_samples)
    assert set(losses) == {'loss'}
    assert recorder.kwargs == dict(avg_factor=len(data_samples))  # as the host's heads
    assert recorder.target.is_floating_point()
    return recorder.target.tolist()


def test_targets_have_a_one_for_every_label_once():
    assert targets_of(samples([1, 4], [], [6], [0, 0, 2])) == [
        [0, 1, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [1, 0, 1, 0, 0, 0, 0],
    ]
    assert targets_of(samples([], [])) == [[0] * 7] * 2


def test_given_scores_are_passed_on():
    scores = [[1, 0, -1, 0, 0.3, 0, 0], [0, 0, 0, 0, 0, 0, -1]]
    data_samples = [DataSample().set_gt_score(np.array(score)) for score in scores]
    np.testing.assert_allclose(targets_of(data_samples), scores, rtol=1e-6)  # float32 in between


def test_default_loss_is_the_sum_over_classes_and_batch():
    head = build_head()
    feats = (torch.randn(2, 12, 2, 2),)
    targets = torch.tensor([[1, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 1]])
    p = head(feats).sigmoid()
    of_negative = -((p - 0.05).clamp(min=0) ** 4) * (1.05 - p).clamp(max=1).log()
    expected = torch.where(targets == 1, -p.log(), of_negative).sum()
    loss = head.loss(feats, samples([0, 0], [6, 1]))['loss']
    torch.testing.assert_close(loss, expected)


def test_labels_outside_the_classes_are_named():
    for label in (7, -1):
        with pytest.raises(ValueError, match=r'from 0 to num_classes - 1 = 6, but are .* -?\d'):
            build_head().loss((torch.randn(2, 12, 2, 2),), samples([0], [label]))


# ---- predictions


def test_threshold_and_topk_choose_the_predicted_labels():
    feats = (torch.randn(1, 12, 2, 2),)
    scores = build_head()(feats)[0].sigmoid()
    middle = scores.median().item()
    (by_threshold,) = build_head(thr=middle).predict(feats)
    assert by_threshold.pred_label.tolist() == scores.ge(middle).nonzero().flatten().tolist()
    (by_rank,) = build_head(topk=2).predict(feats)
    assert by_rank.pred_label.tolist() == scores.argsort(descending=True)[:2].tolist()


# ---- configuration


@pytest.mark.parametrize('head', ['MLDecoderHead', 'MLDecoderClsHead'])
def test_wrong_keys_are_named(head):
    with pytest.raises(ValueError, match='num_groups must be from 1 to num_classes=7, but is 8'):
        build_head(head, num_groups=8)
    with pytest.raises(TypeError, match='num_queries'):
        build_head(head, num_queries=8)
    for key in ('num_classes', 'in_channels'):
        config = dict(type=head, num_classes=7, in_channels=12)
        del config[key]
        with pytest.raises(TypeError, match=key):
            MODELS.build(config)


@pytest.mark.parametrize('name', ['MLDecoderHead', 'MLDecoderClsHead'])
def test_decoder_arguments_reach_the_decoder(name):
    head = build_head(name, num_layers=2, drop_rate=0.3, learn_queries=True)
    assert head.decoder.queries.shape == (3, 16)
    assert head.decoder.queries.requires_grad
    first, second = head.decoder.layers
    assert not first.ffn_in.weight.equal(second.ffn_in.weight)
    assert head.decoder.layers[0].dropout.p == 0.3
    assert type(build_head(name).loss_module).__name__ == (
        'DetachedAsymmetricLoss' if name == 'MLDecoderHead' else 'CrossEntropyLoss'
    )


def test_init_weights_keeps_the_decoders_own_initialisation():
    head = build_head()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.init_weights()
    assert all(value.equal(before[name]) for name, value in head.state_dict().items())


LOSSES = {
    'default': None,
    'BCE': dict(type='CrossEntropyLoss', use_sigmoid=True),
    'host ASL': dict(type='AsymmetricLoss', gamma_pos=1.0),
    'focal': dict(type='FocalLoss'),
}


@pytest.mark.parametrize('loss', LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize('form', ['gt_score', 'gt_label', 'one-hot', 'mixed'])
def test_unknown_labels_are_out_of_the_loss(loss, form):
    """The loss is that of the known labels alone, and unknown ones get no gradient."""
    head = build_head(loss=loss)
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 7, generator=rng, requires_grad=True)
    targets = torch.randint(-1, 2, (5, 7), generator=rng)
    samples = []
    for i, row in enumerate(targets):
        sample = DataSample()
        if form == 'gt_score' or (form == 'mixed' and i % 2):
            sample.set_gt_score(row).set_gt_label((row == 1).nonzero()[:, 0])
        else:
            certain = row == 1
            doubtful = ((row == -1) | certain).nonzero()[:, 0].tolist()  # a certain one is positive
            sample.set_gt_label(certain.nonzero()[:, 0])
            sample.set_field(doubtful, 'gt_label_difficult', field_type='metainfo')
            if form == 'one-hot':  # as the host's preprocessor makes them
                sample.set_gt_score(certain.long())
        samples.append(sample)
    value = head._get_loss(logits, samples)['loss']
    (gradient,) = torch.autograd.grad(value, logits)
    known = targets != -1
    expected = head.loss_module(logits[known][None], targets[known][None].double(), avg_factor=5)
    torch.testing.assert_close(value, expected)
    assert (gradient[~known] == 0).all() and (gradient[known] != 0).any()
    samples[0].set_field([7], 'gt_label_difficult', field_type='metainfo')
    with pytest.raises(ValueError, match='Labels must be from 0 to num_classes - 1 = 6'):
        head._get_loss(logits, samples)


def test_a_loss_of_ones_own_gets_the_unknown_labels():
    class Own(torch.nn.Module):
        def forward(self, scores, targets, **_):
            seen.append(targets)

    head, seen = build_head(), []
    head.loss_module = Own()
    sample = DataSample().set_gt_score(torch.tensor([-1, 0, 1, 0, 0, 0, 0]))
    head._get_loss(torch.zeros(1, 7), [sample])
    assert seen[0].tolist() == [[-1, 0, 1, 0, 0, 0, 0]]
