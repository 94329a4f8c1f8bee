"""Oracles: values computed by hand, and the papers' formulas by element in Python floats."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmpretrain_mldecoder.layers import (
    assume_negative_loss,
    hill_loss,
    large_loss_rejection,
    selective_asymmetric_loss,
    splc_loss,
)

LOSSES = {
    'AN': assume_negative_loss,
    'LL-R': lambda x, y: large_loss_rejection(x, y, 0.2),
    'CSL': lambda x, y: selective_asymmetric_loss(x, y, topk=1),
    'Hill': hill_loss,
    'SPLC': splc_loss,
}


def sample(scale=3.0, dtype=torch.double, shape=(6, 5)):
    rng = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(shape, generator=rng, dtype=dtype)
    return logits, torch.randint(-1, 2, shape, generator=rng)


def by_element(formula):
    """Return the values of ``formula(x, y, p)`` for the sample, with ``p`` the sigmoid."""
    logits, targets = sample()
    pairs = zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True)
    values = [formula(x, y, 1 / (1 + math.exp(-x))) for x, y in pairs]
    return torch.tensor(values, dtype=torch.double).view_as(logits)


def focal(p, gamma=2.0):
    return -((1 - p) ** gamma) * math.log(p)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


# ---- values computed by hand


def one(loss, x, y, *arguments, **options):
    return loss(torch.tensor([[x]]), torch.tensor([[y]]), *arguments, **options).item()


def test_values_computed_by_hand():
    assert one(hill_loss, 0.0, -1) == pytest.approx(0.25)
    assert one(hill_loss, 0.0, 1) == pytest.approx(0.70187, abs=1e-5)
    assert one(hill_loss, 0.0, 0) == pytest.approx(0.25 * math.log(2))
    assert one(splc_loss, 1.0, -1) == pytest.approx(0.02266, abs=1e-5)
    wrong = 0.7310586**2 * 1.3132617  # a negative, where nothing is corrected
    assert one(splc_loss, 1.0, -1, is_correcting=False) == pytest.approx(wrong)
    assert one(splc_loss, 1.0, 0) == pytest.approx(wrong)
    assert one(splc_loss, 1.0, -1, tau=0.74) == pytest.approx(wrong)
    assert one(assume_negative_loss, 0.0, -1, unknown_weight=0.25) == pytest.approx(math.log(2) / 4)
    smooth = 0.9 * math.log(1 + math.exp(2)) + 0.1 * math.log(1 + math.exp(-2))
    assert one(assume_negative_loss, 2.0, -1, smoothing=0.1) == pytest.approx(smooth)
    assert one(assume_negative_loss, -2.0, 1, smoothing=0.1) == pytest.approx(smooth)


def test_selection_computed_by_hand():
    logits = torch.tensor([[0.9, 0.8, 0.1], [0.99, 0.5, 0.5]]).logit()
    targets = torch.tensor([[-1, -1, -1], [0, 0, 1]])
    kept = selective_asymmetric_loss(logits, targets, topk=1) != 0  # 2 of the batch are left out
    assert kept.tolist() == [[False, False, True], [True, True, True]]
    prior = torch.tensor([0.0, 0.06, 0.06])
    kept = selective_asymmetric_loss(logits, targets, prior, topk=0) != 0
    assert kept.tolist() == [[True, False, False], [True, True, True]]
    kept = selective_asymmetric_loss(logits, targets, prior, 0.06, topk=0) != 0
    assert kept.all()  # a prior of exactly float32(0.06) is not above it


def test_rejection_computed_by_hand():
    logits = torch.tensor([[3.0, 2.0, 1.0, 9.0], [-1.0, 4.0, 0.0, 9.0]])
    targets = torch.tensor([[-1, -1, -1, 0], [-1, -1, 1, 0]])
    for fraction, rejected in ((0, 0), (0.01, 1), (0.125, 1), (0.126, 2), (0.5, 4), (2.0, 5)):
        loss = large_loss_rejection(logits, targets, fraction)
        order = [(1, 1), (0, 0), (0, 1), (0, 2), (1, 0)]  # of unknown labels by their loss
        for number, place in enumerate(order):
            expected = 0 if number < rejected else math.log1p(math.exp(logits[place]))
            assert loss[place].item() == pytest.approx(expected)
        plain = F.binary_cross_entropy_with_logits(logits, (targets == 1).float(), reduction='none')
        known = targets >= 0
        assert loss[known].equal(plain[known])


# ---- formulas


@pytest.mark.parametrize(('smoothing', 'weight'), [(0.0, 1.0), (0.1, 1.0), (0.0, 0.25)])
def test_assume_negative_equals_formula(smoothing, weight):
    def formula(x, y, p):
        own, other = (p, 1 - p) if y == 1 else (1 - p, p)
        loss = -(1 - smoothing) * math.log(own) - smoothing * math.log(other)
        return weight * loss if y == -1 else loss

    loss = assume_negative_loss(*sample(), smoothing, weight)
    torch.testing.assert_close(loss, by_element(formula))


def test_hill_and_splc_equal_formulas():
    def hill(x, y, p):
        if y == 1:
            return focal(sigmoid(x - 0.5), 3.0)
        return (1.7 - p) * p * p if y == -1 else focal(1 - p, 3.0)

    torch.testing.assert_close(hill_loss(*sample(), 1.7, 0.5, 3.0), by_element(hill))

    def splc(x, y, p):
        if y == 1:
            return focal(sigmoid(x - 0.5), 3.0)
        return focal(p, 3.0) if y == -1 and p > 0.65 else focal(1 - p, 3.0)

    torch.testing.assert_close(splc_loss(*sample(), True, 0.65, 0.5, 3.0), by_element(splc))


def test_selective_equals_formula():
    logits, targets = sample()
    prior = torch.tensor([0.01, 0.2, 0.04, 0.06, 0.0], dtype=torch.double)
    settings = dict(gamma_unknown=4.0, gamma_neg=2.0, gamma_pos=1.0, clip=0.05)
    loss = selective_asymmetric_loss(logits, targets, prior, topk=1, **settings)
    unknown = [(i, c) for i in range(6) for c in range(5) if targets[i, c] == -1]
    highest = sorted(unknown, key=lambda place: -logits[place])[:6]
    gammas = {1: 1.0, 0: 2.0, -1: 4.0}

    def formula(x, y, p):
        own = p if y == 1 else min(1 - p + 0.05, 1)
        return -((1 - own) ** gammas[y]) * math.log(own)

    expected = by_element(formula)
    for i, c in unknown:
        if (i, c) in highest or prior[c] > 0.05:
            expected[i, c] = 0
    torch.testing.assert_close(loss, expected)


# ---- common to all


@pytest.mark.parametrize('loss', LOSSES.values(), ids=LOSSES)
def test_known_labels_are_independent_of_unknown_ones(loss):
    logits, targets = sample()
    known = targets >= 0
    changed = torch.where(known, logits, 7.0)
    assert loss(logits, targets)[known].equal(loss(changed, targets)[known])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize('loss', LOSSES.values(), ids=LOSSES)
def test_is_finite_for_any_logit(loss, dtype):
    logits = torch.tensor([[-60000.0, -100, -20, 0, 20, 100, 60000]], dtype=dtype)
    logits = logits.repeat(3, 1).requires_grad_()
    targets = torch.tensor([[1], [0], [-1]]).expand(3, 7)
    value = loss(logits, targets)
    value.sum().backward()
    assert value.dtype == torch.float32
    assert value.isfinite().all() and value.ge(0).all() and logits.grad.isfinite().all()


# That of CSL has a focusing weight without gradient, see test_asymmetric_loss.py.
@pytest.mark.parametrize('name', [name for name in LOSSES if name != 'CSL'])
def test_gradients_are_those_of_the_values(name):
    logits, targets = sample()
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, targets), logits.requires_grad_())


@pytest.mark.parametrize('loss', LOSSES.values(), ids=LOSSES)
def test_compiles_to_one_graph(loss):
    logits, targets = sample(dtype=torch.float32)
    compiled = torch.compile(loss, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(logits, targets), loss(logits, targets))
    with pytest.raises(ValueError, match=r'have \(6, 5\) and \(6, 4\)'):
        loss(logits, targets[:, 1:])


def test_wrong_smoothing_is_named():
    with pytest.raises(ValueError, match=r'smoothing must be in \[0, 0.5\], but is 0.9'):
        assume_negative_loss(torch.zeros(1, 1), torch.zeros(1, 1), 0.9)
