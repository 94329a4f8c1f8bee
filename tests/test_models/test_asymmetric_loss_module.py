import pytest
import torch
from mmpretrain.registry import MODELS

import mmpretrain_mldecoder  # noqa: F401  (registers the loss)

pytestmark = pytest.mark.usefixtures('float64')


def build(**arguments):
    return MODELS.build(dict(type='DetachedAsymmetricLoss', **arguments))


@pytest.fixture
def batch():
    """Logits, targets with an unknown one, and the elementwise loss by the authors' formula."""
    torch.manual_seed(0)
    logits = 3 * torch.randn(3, 4)
    targets = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, -1]])
    p = logits.sigmoid()
    pt = torch.where(targets == 1, p, (1.05 - p).clamp(max=1))
    elements = -torch.where(targets == 1, 1, (1 - pt) ** 4) * pt.log()
    return logits, targets, elements * (targets >= 0)


def test_sum_ignores_the_average_factor(batch):
    logits, targets, elements = batch
    for avg_factor in (None, 3):
        loss = build()(logits, targets, avg_factor=avg_factor)
        torch.testing.assert_close(loss, elements.sum())


def test_mean_divides_by_the_average_factor_or_by_all_elements(batch):
    logits, targets, elements = batch
    loss = build(reduction='mean')
    torch.testing.assert_close(loss(logits, targets, avg_factor=3), elements.sum() / 3)
    torch.testing.assert_close(loss(logits, targets), elements.sum() / 12)


def test_override_and_loss_weight(batch):
    logits, targets, elements = batch
    loss = build(loss_weight=0.5)
    torch.testing.assert_close(loss(logits, targets, reduction_override='none'), 0.5 * elements)
    torch.testing.assert_close(loss(logits, targets), 0.5 * elements.sum())


def test_weights_of_samples_or_elements(batch):
    logits, targets, elements = batch
    for shape in ((3,), (3, 1), (3, 4)):
        weight = torch.rand(shape)
        expected = (elements * weight.reshape(3, -1)).sum()
        torch.testing.assert_close(build()(logits, targets, weight=weight), expected)


@pytest.mark.parametrize(('gamma_neg', 'gamma_pos', 'clip'), [(4, 0, 0.05), (4, 1, 0), (2, 3, 0.1)])
def test_values_are_those_of_the_host_and_gradients_are_not(gamma_neg, gamma_pos, clip):
    torch.manual_seed(0)
    logits = (3 * torch.randn(5, 6)).requires_grad_()
    targets = torch.randint(0, 2, (5, 6)).double()
    settings = dict(gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip, reduction='sum')
    ours = build(**settings)(logits, targets)
    host = MODELS.build(dict(type='AsymmetricLoss', **settings))(logits, targets)
    torch.testing.assert_close(ours, host)
    (gradient,) = torch.autograd.grad(ours, logits)
    (host_gradient,) = torch.autograd.grad(host, logits)
    assert (gradient - host_gradient).abs().max() > 0.1 * host_gradient.abs().max()


def test_wrong_reduction_is_named(batch):
    logits, targets, _ = batch
    with pytest.raises(ValueError, match=r"reduction must be one of .* but is 'average'"):
        build(reduction='average')
    with pytest.raises(ValueError, match="but is 'batch'"):
        build()(logits, targets, reduction_override='batch')
