"""Oracles: torch's ``pos_weight``, timm's classes and formulas, and arithmetic by hand."""

import sys

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from multi_label_heads import HEADS, TARGETS, gradients

import mmpretrain_mldecoder  # noqa: F401  (registers the losses)

pytest.importorskip('timm', minversion='1.0.31')
from timm.loss.class_weights import compute_class_weights

WEIGHTS = [0.5, 3.0, 1.0, 7.0]
# of 1000 images as COCO's person and toaster, all and none; nothing is unknown
POSITIVES, NEGATIVES = torch.tensor([630, 8, 1000, 0]), torch.tensor([370, 992, 0, 1000])
TARGET = TARGETS[1:].repeat(3, 1)


def detached(**arguments):
    return MODELS.build(dict(type='DetachedAsymmetricLoss', **arguments))


def timms(kind, **arguments):
    return MODELS.build(dict(type='TIMMLoss', loss_type=kind, **arguments))


def logits_of(shape=TARGET.shape):
    generator = torch.Generator().manual_seed(0)
    return (3 * torch.randn(shape, generator=generator)).requires_grad_()


@pytest.mark.parametrize('weights', [WEIGHTS, 2.5])
def test_weights_of_positives_are_those_of_torch(weights):
    logits = logits_of()
    plain = dict(gamma_neg=0, gamma_pos=0, clip=0)
    expected = F.binary_cross_entropy_with_logits(
        logits, TARGET.clamp(min=0), pos_weight=torch.tensor(weights), reduction='none'
    )
    expected = torch.where(TARGET < 0, 0, expected).sum()
    (gradient,) = torch.autograd.grad(expected, logits)
    for loss in (detached(pos_weight=weights, **plain), timms('bce', pos_weight=weights)):
        value = loss(logits, TARGET)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(torch.autograd.grad(value, logits)[0], gradient)


def test_weights_of_positives_are_those_of_timms_asymmetric_loss():
    logits, soft = logits_of(), TARGET.clamp(min=0) * 0.8 + 0.1
    arguments = dict(gamma_neg=4, gamma_pos=1, clip=0.05, pos_weight=WEIGHTS)
    theirs = timms('asl', disable_torch_grad_focal_loss=True, **arguments)(logits, soft)
    ours = detached(**arguments)(logits, soft)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_auto_is_negatives_over_positives():
    found = detached(pos_weight='auto').set_class_counts(POSITIVES, NEGATIVES)['pos_weight']
    # a class that no image has counts as if one had it
    assert found.tolist() == pytest.approx([370 / 630, 124, 0, 999])
    soft = dict(power=0.5, max_weight=10)
    found = detached(pos_weight=soft).set_class_counts(POSITIVES, NEGATIVES)['pos_weight']
    assert found.tolist() == pytest.approx([(370 / 630) ** 0.5, 10, 0, 10])


@pytest.mark.parametrize(
    ('value', 'settings'),
    [
        ('auto', dict(method='inv_freq')),
        (dict(power=0.5), dict(method='inv_freq', power=0.5)),
        (dict(method='effective_num', beta=0.99), dict(method='effective_num', beta=0.99)),
    ],
)
def test_class_weights_are_timms(value, settings):
    _, expected = compute_class_weights(POSITIVES, 1000, **settings)
    for kind in ('bce', 'asl'):
        loss = timms(kind, weight=value)
        assert loss.set_class_counts(POSITIVES, NEGATIVES)['weight'].equal(expected)
        given = timms(kind, weight=expected.tolist())
        assert loss(logits_of(), TARGET).equal(given(logits_of(), TARGET))


def test_unknown_labels_count_on_neither_side():
    half = [POSITIVES // 2, NEGATIVES // 2]  # of all classes but the first
    positives, negatives = (
        torch.cat([whole[:1], part[1:]])
        for whole, part in zip((POSITIVES, NEGATIVES), half, strict=True)
    )
    found = detached(pos_weight='auto').set_class_counts(positives, negatives)['pos_weight']
    assert found[:3].tolist() == pytest.approx([370 / 630, 124, 0])
    counted = timms('db', class_counts='auto')
    counted.set_class_counts(positives, negatives)
    whole = timms('db', class_counts=POSITIVES.tolist(), num_samples=1000)
    torch.testing.assert_close(counted(logits_of(), TARGET), whole(logits_of(), TARGET))


def test_may_be_counted_again_for_another_training():
    loss = detached(pos_weight='auto')
    loss.set_class_counts(NEGATIVES, POSITIVES)
    loss.set_class_counts(POSITIVES, NEGATIVES)
    assert loss(logits_of(), TARGET).equal(
        detached(pos_weight=loss.pos_weight.tolist())(logits_of(), TARGET)
    )


def test_is_no_state_of_the_checkpoint():
    for loss in (detached(pos_weight='auto'), timms('bce', pos_weight='auto', weight='auto')):
        loss.set_class_counts(POSITIVES, NEGATIVES)
        assert loss.state_dict() == {}
        assert {each.device.type for each in loss.to('meta').buffers()} == {'meta'}


@pytest.mark.parametrize('head', HEADS)
def test_trains_each_head(head):
    feats = torch.randn(4, 6, 3, 3)
    got = gradients(head, dict(type='DetachedAsymmetricLoss', pos_weight=WEIGHTS), feats)
    plain = gradients(head, dict(type='DetachedAsymmetricLoss'), feats)
    assert not all(map(torch.equal, got, plain))


def test_what_waits_for_counts_says_so():
    for loss in (
        detached(pos_weight='auto'),
        detached(pos_weight={}),
        timms('db', class_counts='auto'),
        timms('asl', weight=dict(power=0.5)),
    ):
        with pytest.raises(ValueError, match=r"needs the labels .*'ClassCountsHook'"):
            loss(logits_of(), TARGET)


@pytest.mark.parametrize('wrong', ['neg_pos', -1, [1.0, -2.0], [[1.0]], [1.0, float('nan')], 'x'])
def test_weights_that_are_none(wrong):
    with pytest.raises(ValueError, match=r'pos_weight must be a number of at least 0, .* but is'):
        detached(pos_weight=wrong)


def test_weights_of_other_classes():
    for loss in (detached(pos_weight=[1, 2, 3]), timms('bce', pos_weight=[1, 2, 3])):
        with pytest.raises(ValueError, match='pos_weight has 3 numbers for 4 classes'):
            loss(logits_of(), TARGET)
    with pytest.raises(ValueError, match=r'^weight has 3 numbers for 4 classes'):
        timms('asl', weight=[1, 2, 3])(logits_of(), TARGET)


def test_wrong_settings_are_named(monkeypatch):
    def count(loss):
        return loss.set_class_counts(POSITIVES, NEGATIVES)

    with pytest.raises(ValueError, match=r"pos_weight\.method = 'inv_freq': it must be neg_pos"):
        count(detached(pos_weight=dict(method='inv_freq')))
    with pytest.raises(ValueError, match=r"weight\.method = 'neg_pos': .* inv_freq or effective"):
        count(timms('bce', weight=dict(method='neg_pos')))
    with pytest.raises(ValueError, match=r'pos_weight = .*cap'):
        count(detached(pos_weight=dict(cap=3)))
    with pytest.raises(ValueError, match='num_samples'):
        detached(pos_weight='auto').set_class_counts(0 * POSITIVES, 0 * NEGATIVES)
    with pytest.raises(TypeError, match='pos_weight'):  # at once, not when a training starts
        timms('poly', pos_weight='auto')
    monkeypatch.setitem(sys.modules, 'timm.loss.class_weights', None)
    with pytest.raises(ImportError, match=r"pos_weight='auto' needs timm >= 1\.0\.31: .*\[timm\]"):
        count(detached(pos_weight='auto'))
