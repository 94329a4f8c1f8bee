"""Oracle: timm's own classes on the known labels alone, and loops for what they cannot see."""

import math
import sys

import pytest
import torch
from mmpretrain.registry import MODELS
from multi_label_heads import HEADS, NUM_CLASSES, gradients

import mmpretrain_mldecoder  # noqa: F401  (registers the loss)

pytest.importorskip('timm', minversion='1.0.31')
from timm import loss as timm_loss

COUNTS = [50, 3, 20, 700, 1, 99, 0]  # of 1000 images
PER_CLASS = torch.arange(1, 8) / 4
ELEMENTWISE = {
    'bce': (timm_loss.BinaryCrossEntropy, {}),
    'bce weighted': (timm_loss.BinaryCrossEntropy, dict(weight=PER_CLASS, pos_weight=PER_CLASS)),
    'bce smooth': (timm_loss.BinaryCrossEntropy, dict(smoothing=0.2, smooth_dense=True)),
    'asl': (timm_loss.AsymmetricLossMultiLabel, {}),
    'asl recipe': (
        timm_loss.AsymmetricLossMultiLabel,
        dict(gamma_pos=0, disable_torch_grad_focal_loss=True, pos_weight=2.0, smoothing=0.1),
    ),
    'poly': (timm_loss.PolyBinaryCrossEntropy, dict(gamma=2, alpha=0.3)),
    'db': (timm_loss.DistributionBalancedLoss, dict(class_counts=COUNTS, num_samples=1000)),
}
LOSSES = {**dict.fromkeys(ELEMENTWISE), 'zlpr': None, 'twoway': None}


def build(name, **more):
    arguments = dict(ELEMENTWISE[name][1]) if name in ELEMENTWISE else {}
    for key, value in arguments.items():
        arguments[key] = value.tolist() if isinstance(value, torch.Tensor) else value
    return MODELS.build(dict(type='TIMMLoss', loss_type=name.split()[0], **arguments, **more))


def sample(seed=0, rows=9):
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, 7, generator=rng)
    targets = torch.randint(-1, 2, (rows, 7), generator=rng).float()
    targets[0] = torch.tensor([1.0, -1, -1, -1, 1, -1, -1])  # no known negative
    targets[1] = torch.tensor([0.0, -1, -1, -1, 0, -1, -1])  # no known positive
    targets[2] = -1
    return logits, targets


def of_known(name, logits, target):
    """Return timm's elements of one image, whose unknown classes do not exist."""
    kind, arguments = ELEMENTWISE[name]
    known = target >= 0
    part = {
        key: torch.as_tensor(value)[known] if torch.as_tensor(value).numel() == 7 else value
        for key, value in arguments.items()
    }
    return kind(**part, reduction='none')(logits[known][None], target[known][None])[0]


@pytest.mark.parametrize('name', ELEMENTWISE)
def test_elements_are_those_of_the_known_labels_alone(name):
    logits, targets = sample()
    loss = build(name)
    elements = loss(logits, targets, reduction_override='none')
    for row, logit, target in zip(elements, logits, targets, strict=True):
        if (target >= 0).any():
            torch.testing.assert_close(row[target >= 0], of_known(name, logit, target))
    assert (elements[targets < 0] == 0).all()
    torch.testing.assert_close(loss(logits, targets, avg_factor=9), elements.sum())
    mean = build(name, reduction='mean', loss_weight=3.0)
    torch.testing.assert_close(mean(logits, targets, avg_factor=9), elements.sum() / 3)


def test_zlpr_is_the_mean_of_the_images_with_their_known_labels_alone():
    logits, targets = sample()
    expected = [
        timm_loss.ZlprLoss()(logit[target >= 0][None], target[target >= 0][None])
        for logit, target in zip(logits, targets, strict=True)
    ]
    loss = build('zlpr', loss_weight=2.0)
    torch.testing.assert_close(loss(logits, targets, avg_factor=9), 2 * sum(expected) / 9)
    two = loss(torch.zeros(1, 3), torch.tensor([[1.0, 0, -1]]))
    assert two.item() == pytest.approx(2 * 2 * math.log(2))  # as without the third class


def two_way(logits, targets, tp, tn):
    """Return the paper's loss by loops, over what is known."""

    def direction(rows):
        values = []
        for row in rows:
            positives = [x for x, y in row if y == 1]
            negatives = [x for x, y in row if y == 0]
            if positives:
                low = sum(math.exp(-x / tp) for x in positives)
                high = sum(math.exp(x / tn) for x in negatives)
                values.append(math.log1p(low**tp * high**tn))
        return sum(values) / max(len(values), 1)

    rows = [
        list(zip(*pair, strict=True))
        for pair in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    return direction(rows) + direction(zip(*rows, strict=True))


@pytest.mark.parametrize(('tp', 'tn'), [(4.0, 1.0), (1.0, 50.0), (2.0, 0.01)])
def test_two_way_leaves_unknown_labels_out_of_images_and_classes(tp, tn):
    logits, targets = sample()
    if tn < 1:
        logits = logits / 100  # or the loops overflow
    loss = MODELS.build(dict(type='TIMMLoss', loss_type='twoway', tp=tp, tn=tn))
    expected = torch.tensor(two_way(logits, targets, tp, tn))
    torch.testing.assert_close(loss(logits, targets), expected, rtol=1e-5, atol=1e-5)
    for logit, target in zip(logits, targets, strict=True):
        known = target >= 0
        alone = timm_loss.TwoWayLoss(tp, tn)(logit[known][None], target[known][None])
        torch.testing.assert_close(loss(logit[None], target[None]), alone)


@pytest.mark.parametrize('name', LOSSES)
def test_is_timms_own_loss_where_everything_is_known(name):
    logits, targets = sample()
    targets = targets.abs()
    own = {'zlpr': timm_loss.ZlprLoss, 'twoway': timm_loss.TwoWayLoss}.get(name)
    criterion = own() if own else ELEMENTWISE[name][0](**ELEMENTWISE[name][1], reduction='sum')
    assert build(name)(logits, targets).equal(criterion(logits, targets))


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
@pytest.mark.parametrize('name', LOSSES)
def test_unknown_labels_have_no_gradient_and_the_others_a_finite_one(name, dtype):
    loss = build(name)
    logits, targets = sample()
    for scale in (1, 1000):  # up to 1e4
        scaled = (scale * logits).to(dtype).requires_grad_()
        with torch.autograd.detect_anomaly(check_nan=True):
            value = loss(scaled, targets)
            value.backward()
        assert value.isfinite() and scaled.grad.isfinite().all()
        assert (scaled.grad[targets < 0] == 0).all() and (scale > 1 or scaled.grad.any())
        other = torch.where(targets < 0, 77, scaled).detach()
        assert loss(other, targets).equal(value)


@pytest.mark.parametrize('name', LOSSES)
def test_nothing_known_is_no_loss(name):
    logits = torch.ones(2, 7, requires_grad=True)
    value = build(name)(logits, torch.full((2, 7), -1))
    value.backward()
    assert value == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('name', ['bce', 'asl', 'poly', 'db', 'zlpr', 'twoway'])
def test_trains_each_head(head, name):
    counts = dict(class_counts=[5] * NUM_CLASSES, num_samples=9) if name == 'db' else {}
    loss = dict(type='TIMMLoss', loss_type=name, **counts)
    got = gradients(head, loss, torch.randn(4, 6, 3, 3))
    assert all(each.isfinite().all() for each in got) and any(each.any() for each in got)


def test_is_no_state_of_the_checkpoint():
    for name in ('db', 'bce weighted'):
        loss = build(name)
        assert loss.state_dict() == {}
        assert {each.device.type for each in loss.to('meta').buffers()} == {'meta'}


def test_wrong_arguments_are_named(monkeypatch):
    for wrong, message in (
        (dict(loss_type='hill'), "loss_type must be one of .*'bce'.*'twoway'.* but is 'hill'"),
        (dict(loss_type='zlpr', reduction='sum'), "reduction='sum' is none of 'zlpr'.*loss_weight"),
        (dict(loss_type='asl', reduction='batchmean'), "one of .* but is 'batchmean'"),
        (dict(loss_type='bce', sum_classes=True), "set reduction='mean'"),
    ):
        with pytest.raises(ValueError, match=message):
            MODELS.build(dict(type='TIMMLoss', **wrong))
    with pytest.raises(TypeError, match='gamma'):
        MODELS.build(dict(type='TIMMLoss', loss_type='zlpr', gamma=1))
    with pytest.raises(ValueError, match='class_counts has 7 numbers for 4 classes'):
        build('db')(torch.zeros(2, 4), torch.zeros(2, 4))
    monkeypatch.delattr(timm_loss, 'MULTI_LABEL_LOSS_TYPES')
    with pytest.raises(ImportError, match=r"'asl' needs timm >= 1\.0\.31: .*\[timm\]"):
        MODELS.build(dict(type='TIMMLoss', loss_type='asl'))
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ImportError, match=r"'zlpr' needs timm"):
        MODELS.build(dict(type='TIMMLoss', loss_type='zlpr'))
