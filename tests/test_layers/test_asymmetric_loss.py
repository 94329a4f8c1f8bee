import math

import pytest
import torch
import torch.nn.functional as F

from mmpretrain_mldecoder.layers import asymmetric_loss

SETTINGS = [(4, 0, 0.05), (2, 1, 0), (0, 0, 0.1)]


def loss_by_formula(logit, target, gamma_neg, gamma_pos, clip):
    """One element in python floats, from the paper's equations."""
    p = 1 / (1 + math.exp(-logit))
    if target == 1:
        return -((1 - p) ** gamma_pos) * math.log(p)
    shifted = max(p - clip, 0)
    return -(shifted**gamma_neg) * math.log(1 - shifted)


def sample(shape=(6, 5), scale=3.0, dtype=torch.double):
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(shape, generator=generator, dtype=dtype)
    return logits, torch.randint(0, 2, shape, generator=generator)


@pytest.mark.parametrize(('gamma_neg', 'gamma_pos', 'clip'), SETTINGS)
def test_equals_formula(gamma_neg, gamma_pos, clip):
    logits, targets = sample()
    loss = asymmetric_loss(logits, targets, gamma_neg, gamma_pos, clip)
    for value, logit, target in zip(
        loss.flatten().tolist(), logits.flatten().tolist(), targets.flatten().tolist(), strict=True
    ):
        expected = loss_by_formula(logit, target, gamma_neg, gamma_pos, clip)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)  # float64 rounding


@pytest.mark.parametrize(('gamma_neg', 'gamma_pos', 'clip'), SETTINGS)
def test_focusing_weight_is_left_out_of_the_gradient(gamma_neg, gamma_pos, clip):
    logits, targets = sample()
    logits.requires_grad_()
    loss = asymmetric_loss(logits, targets, gamma_neg, gamma_pos, clip).sum()
    (gradient,) = torch.autograd.grad(loss, logits)

    p = logits.sigmoid()
    pt = torch.where(targets == 1, p, (1 - p + clip).clamp(max=1))
    weight = (1 - pt) ** torch.where(targets == 1, gamma_pos, gamma_neg)
    (detached,) = torch.autograd.grad(
        -(weight.detach() * pt.log()).sum(), logits, retain_graph=True
    )
    (attached,) = torch.autograd.grad(-(weight * pt.log()).sum(), logits)
    torch.testing.assert_close(gradient, detached, rtol=1e-9, atol=1e-12)
    if gamma_neg or gamma_pos:
        assert (gradient - attached).abs().max() > 0.1 * attached.abs().max()


@pytest.mark.parametrize(('clip', 'is_steep'), [(0.05, False), (0.0, True)])
def test_margin_leaves_certain_false_positives_no_gradient(clip, is_steep):
    """Why a class in most images can stay at a score of 1 (docs/imbalance.md)."""
    logits = torch.full((1, 1), 16.0, requires_grad=True)
    asymmetric_loss(logits, torch.zeros(1, 1), clip=clip).backward()
    assert (logits.grad.item() > 0.99) == is_steep
    assert is_steep or logits.grad.item() < 1e-5


@pytest.mark.parametrize('is_mixed', [False, True])
def test_is_binary_cross_entropy_without_gammas_and_clip(is_mixed):
    logits, targets = sample(scale=5.0)
    targets = torch.rand(logits.shape, dtype=torch.double) if is_mixed else targets
    logits.requires_grad_()
    assert logits.abs().max() < 18  # beyond, log(1e-8) caps the loss
    loss = asymmetric_loss(logits, targets, gamma_neg=0, gamma_pos=0, clip=0)
    expected = F.binary_cross_entropy_with_logits(logits, targets.double(), reduction='none')
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    (of_expected,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(gradient, of_expected, rtol=1e-9, atol=1e-9)


def test_weight_of_positives_is_a_factor_on_their_loss_alone():
    logits, targets = sample()
    plain = asymmetric_loss(logits, targets, gamma_pos=1)
    for weight in (torch.tensor(3.0), torch.tensor([0.0, 1, 2, 3, 4])):
        found = asymmetric_loss(logits, targets, gamma_pos=1, pos_weight=weight)
        torch.testing.assert_close(found, torch.where(targets == 1, weight * plain, plain))


def test_negatives_below_the_margin_cost_nothing():
    logits = torch.tensor([[-10.0, -3.0, -2.9]], requires_grad=True)  # p = 0.00005, 0.047, 0.052
    loss = asymmetric_loss(logits, torch.zeros(1, 3))
    loss.sum().backward()
    assert loss[0, :2].eq(0).all()
    assert logits.grad[0, :2].eq(0).all()
    assert loss[0, 2] > 0


@pytest.mark.parametrize(('gamma_neg', 'gamma_pos', 'clip'), SETTINGS)
def test_unknown_labels_give_no_loss_and_no_gradient(gamma_neg, gamma_pos, clip):
    logits, targets = sample(scale=20.0, dtype=torch.float32)
    targets[:, ::2] = -1
    logits.requires_grad_()
    loss = asymmetric_loss(logits, targets, gamma_neg, gamma_pos, clip)
    loss.sum().backward()
    assert loss[:, ::2].eq(0).all()
    assert logits.grad[:, ::2].eq(0).all()
    known = asymmetric_loss(logits[:, 1::2], targets[:, 1::2], gamma_neg, gamma_pos, clip)
    # Other places in a vector, perhaps another function for the logarithm.
    torch.testing.assert_close(loss[:, 1::2], known)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_is_finite_for_any_logit(dtype):
    largest = 60000.0  # near the end of float16
    for gamma_neg, gamma_pos, clip in SETTINGS:
        logits = torch.tensor([[-largest, -100, -20, 0, 20, 100, largest]], dtype=dtype)
        logits = logits.repeat(2, 1).requires_grad_()
        targets = torch.tensor([[1], [0]]).expand(2, 7)
        with torch.autocast('cpu', torch.bfloat16):
            loss = asymmetric_loss(logits, targets, gamma_neg, gamma_pos, clip)
        loss.sum().backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
        assert loss.ge(0).all()
        assert logits.grad.isfinite().all()


def test_half_logits_are_lifted_to_float32():
    logits, targets = sample(dtype=torch.float32)
    half = logits.half()
    assert asymmetric_loss(half, targets).equal(asymmetric_loss(half.float(), targets))


def test_confident_error_on_a_negative_keeps_its_digits():
    # sigmoid(16) rounds to 1 - 1.2e-7 in float32; 1 minus that would be wrong by 6 %.
    loss = asymmetric_loss(torch.tensor([[16.0]]), torch.zeros(1, 1), 0, 0, 0)
    assert loss.item() == pytest.approx(16, rel=1e-6)


def test_compiles_to_one_graph():
    logits, targets = sample(dtype=torch.float32)
    compiled = torch.compile(asymmetric_loss, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(compiled(logits, targets), asymmetric_loss(logits, targets))


def test_wrong_arguments_are_named():
    for wrong, message in (
        (dict(gamma_neg=-1), 'gamma_neg and gamma_pos must be at least 0, but are -1 and 0.0'),
        (dict(gamma_pos=-2), 'but are 4.0 and -2'),
        (dict(pos_weight=torch.ones(2)), 'pos_weight has 2 numbers for 3 classes'),
        (dict(clip=1), r'clip must be in \[0, 1\), but is 1'),
        (dict(targets=torch.zeros(2, 4)), r'have \(2, 3\) and \(2, 4\)'),
    ):
        arguments = dict(logits=torch.zeros(2, 3), targets=torch.zeros(2, 3)) | wrong
        with pytest.raises(ValueError, match=message):
            asymmetric_loss(**arguments)
