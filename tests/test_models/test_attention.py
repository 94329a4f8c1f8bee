"""The maps add up to the logits that they explain."""

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmpretrain_mldecoder  # noqa: F401
from mmpretrain_mldecoder.models.attention import attention_kind, predict_with_attention

BACKBONE = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)


def predict(head, neck='GlobalAveragePooling'):
    """Return a model, its logits, the features and the maps of two images."""
    torch.manual_seed(0)
    neck = neck and dict(type=neck)
    model = MODELS.build(dict(type='ImageClassifier', backbone=BACKBONE, neck=neck, head=head))
    model.head.init_weights()
    images = torch.rand(2, 3, 96, 64)
    samples, maps = predict_with_attention(
        model.eval(), dict(inputs=images, data_samples=[DataSample(), DataSample()])
    )
    with torch.no_grad():
        logits, feats = model(images), model.backbone(images)[-1]
    scores = torch.stack([sample.pred_score for sample in samples])
    kind = attention_kind(model)
    is_single = head['type'] == 'LinearClsHead'
    torch.testing.assert_close(scores, logits.softmax(1) if is_single else logits.sigmoid())
    return model.head, logits, feats, maps, kind


@pytest.mark.parametrize('kind', ['LinearClsHead', 'MultiLabelLinearClsHead'])
def test_linear_layer_has_the_positive_part_of_its_class_activation_map(kind):
    head = dict(type=kind, num_classes=5, in_channels=64)
    head, logits, feats, maps, kind = predict(head)
    assert maps.shape == (2, 1, 5, 3, 2) and 'activation' in kind
    activations = torch.zeros(2, 5, 3, 2)
    for image, label, y, x in torch.cartesian_prod(*map(torch.arange, activations.shape)).tolist():
        activations[image, label, y, x] = head.fc.weight[label] @ feats[image, :, y, x]
    torch.testing.assert_close(activations.mean((2, 3)) + head.fc.bias, logits)
    positive = activations.clamp(min=0)
    empty = positive.sum((2, 3)) == 0
    assert (maps[:, 0][empty] == 0).all()
    expected = positive[~empty] / positive[~empty].sum((1, 2), keepdim=True)
    torch.testing.assert_close(maps[:, 0][~empty], expected)


@pytest.mark.parametrize('num_heads', [1, 2, 4])
def test_csra_has_the_positive_part_of_the_scores_that_it_adds_up(num_heads):
    config = dict(type='CSRAClsHead', num_classes=5, in_channels=64, num_heads=num_heads, lam=0.3)
    head, logits, feats, maps, kind = predict(config, neck=None)
    assert maps.shape == (2, num_heads, 5, 3, 2) and 'activation' in kind
    gathered = torch.zeros(2, 5)
    for each, own in zip(head.csra_heads, maps.unbind(1), strict=True):
        weights = each.head.weight[..., 0, 0]
        scores = torch.einsum('kc,bchw->bkhw', weights / weights.norm(dim=1, keepdim=True), feats)
        attention = (scores * each.T).flatten(2).softmax(2).unflatten(2, (3, 2))
        if each.T == 99:  # the authors take the maximum itself
            attention = (scores == scores.amax((2, 3), keepdim=True)).float()
        gathered += (scores * (1 / 6 + 0.3 * attention)).sum((2, 3))
        positive = scores.clamp(min=0)
        total = positive.sum((2, 3), keepdim=True)
        torch.testing.assert_close(own * total, positive)
    torch.testing.assert_close(gathered, logits)


def test_decoder_has_the_maps_of_its_head():
    options = dict(num_groups=2, embed_dims=16, num_heads=2, feedforward_channels=24)
    config = dict(type='MLDecoderHead', num_classes=5, in_channels=64, **options)
    head, _, feats, maps, kind = predict(config, neck=None)
    assert maps.shape == (2, 2, 2, 3, 2) and 'decoder' in kind
    torch.testing.assert_close(maps, head.attention_maps((feats,)).detach())


def test_other_models_have_none():
    linear = dict(type='MultiLabelLinearClsHead', num_classes=5, in_channels=64)
    gem = dict(type='GeneralizedMeanPooling')
    config = dict(type='ImageClassifier', backbone=BACKBONE, neck=gem, head=linear)
    assert attention_kind(MODELS.build(config)) is None
    assert attention_kind(torch.nn.Linear(1, 1)) is None
