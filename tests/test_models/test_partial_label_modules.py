"""The registered losses for unknown labels: epoch, prior, and one step with each head."""

import json
import math

import pytest
import torch
from mmpretrain.registry import MODELS
from multi_label_heads import HEADS, gradients
from tiny_run import assert_same_training, build_runner, write_tiny_config

from mmpretrain_mldecoder.errors import ConfigError, ConfigFileNotFoundError
from mmpretrain_mldecoder.models.losses import partial_label_losses

LOSSES = {
    'AN-LS': dict(type='AssumeNegativeLoss', smoothing=0.1),
    'WAN': dict(type='AssumeNegativeLoss', weak=True),
    'CSL': dict(type='SelectiveAsymmetricLoss', topk=1),
    'Hill': dict(type='HillLoss'),
    'SPLC': dict(type='SPLCLoss'),
    'LL-R': dict(type='LargeLossRejection'),
}
LOGITS = torch.tensor([[3.0, 2.0, 1.0, 0.0], [-1.0, 4.0, 1.5, 2.5]])
UNKNOWN = -torch.ones(2, 4)
NAMES = ['ant', 'bee', 'cat', 'dog']


def build(name, **more):
    return MODELS.build(dict(LOSSES[name], **more))


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('name', LOSSES)
def test_trains_each_head(hub, head, name):
    got = gradients(head, LOSSES[name], torch.randn(4, 6, 3, 3))
    assert all(each.isfinite().all() for each in got) and any(each.any() for each in got)


def test_large_losses_are_rejected_more_and_more(hub):
    loss = build('LL-R', delta=0.1)
    for epoch, rejected in ((None, 0), (0, 0), (1, 1), (2, 2), (5, 4), (30, 8)):
        if epoch is not None:
            hub.update_info('epoch', epoch)
        elements = loss(LOGITS, UNKNOWN, reduction_override='none')
        assert (elements == 0).sum() == rejected == math.ceil(min(0.1 * (epoch or 0) * 8, 8))
        kept = LOGITS.flatten().sort(descending=True).values[rejected:]
        torch.testing.assert_close(loss(LOGITS, UNKNOWN, avg_factor=2), kept.exp().log1p().sum())


def test_labels_are_corrected_from_an_epoch_on(hub):
    loss = build('SPLC', change_epoch=3)
    values = []
    for epoch in (0, 2, 3, 9):
        hub.update_info('epoch', epoch)
        values.append(loss(LOGITS, UNKNOWN).item())
    assert values[0] == values[1] > values[2] == values[3]


def test_weak_negatives_are_divided_by_the_other_classes(hub):
    negatives = torch.nn.functional.softplus(LOGITS).sum()
    torch.testing.assert_close(build('WAN')(LOGITS, UNKNOWN), negatives / 3)
    weak = build('WAN', reduction='mean', loss_weight=6.0)
    torch.testing.assert_close(weak(LOGITS, UNKNOWN, avg_factor=2), negatives)


# ---- prior


def write_prior(tmp_path, **prior):
    path = tmp_path / 'prior.json'
    path.write_text(json.dumps(prior))
    return str(path)


def test_prior_is_taken_by_class_name_whatever_the_order(hub, tmp_path):
    prior = write_prior(tmp_path, dog=0.5, ant=0.0, cat=0.05, bee=0.051)
    loss = build('CSL', topk=0, prior=prior)
    hub.update_info('dataset_meta', dict(classes=NAMES))
    elements = loss(LOGITS, UNKNOWN, reduction_override='none')
    assert (elements == 0).tolist() == [[False, True, False, True]] * 2
    plain = build('CSL', topk=0)
    torch.testing.assert_close(
        elements[:, 0::2], plain(LOGITS, UNKNOWN, reduction_override='none')[:, 0::2]
    )
    assert loss.state_dict() == {}
    assert not plain(LOGITS, UNKNOWN, reduction_override='none').eq(0).any()


def test_prior_of_other_classes_is_refused(hub, tmp_path):
    hub.update_info('dataset_meta', dict(classes=NAMES))
    wrong = write_prior(tmp_path, ant=0.1, bee=0.1, Cat=0.1, dog=0.1)
    with pytest.raises(ConfigError, match=r"only one of them has 'Cat'; near: cat \(differs in up"):
        build('CSL', prior=wrong)(LOGITS, UNKNOWN)
    few = write_prior(tmp_path, ant=0.1, bee=0.1, cat=0.1)
    with pytest.raises(ConfigError, match=r"has 3 classes, the training has 4.*'dog'"):
        build('CSL', prior=few)(LOGITS, UNKNOWN)
    hub.update_info('dataset_meta', dict(classes=NAMES[:3]))
    with pytest.raises(ConfigError, match=r'has 3 classes, the training has 4: make it'):
        build('CSL', prior=few)(LOGITS, UNKNOWN)


def test_prior_before_the_classes_have_names(hub, tmp_path):
    """As in the check at the start of a training."""
    prior = write_prior(tmp_path, **dict.fromkeys(NAMES, 0.5))
    assert build('CSL', prior=prior)(LOGITS, UNKNOWN) == 0
    with pytest.raises(ConfigError, match='has 4 classes, the training has 3'):
        build('CSL', prior=prior)(LOGITS[:, 1:], UNKNOWN[:, 1:])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"ant": 0.1', 'is not JSON in UTF-8'),
        ('[0.1]', 'must be a JSON object'),
        ('{"ant": 1.5}', "class 'ant' must have a number in .* but has 1.5"),
        ('{"ant": NaN}', 'has nan'),
        ('{"ant": true}', 'has True'),
        ('{"ant": "0.1"}', "has '0.1'"),
    ],
)
def test_files_that_are_no_prior(hub, tmp_path, text, message):
    (tmp_path / 'prior.json').write_text(text)
    loss = build('CSL', prior=str(tmp_path / 'prior.json'))
    with pytest.raises(ConfigError, match=message):
        loss(LOGITS, UNKNOWN)


def test_prior_is_read_in_training_only(hub, tmp_path):
    loss = build('CSL', prior=str(tmp_path / 'none.json'))
    with pytest.raises(ConfigFileNotFoundError, match=r'none.json.*write_class_prior'):
        loss(LOGITS, UNKNOWN)


# ---- in a training

_PARTIAL = """
train_pipeline[-1] = dict(type='PackMultiLabelInputs', num_classes=4, absent='unknown')
train_dataloader.update(num_workers=0)
train_dataloader['dataset']['pipeline'] = train_pipeline
val_cfg = val_dataloader = val_evaluator = None
default_hooks['checkpoint'].pop('save_best')
model['head']['loss'] = dict({loss!r})
"""


def test_epoch_and_resume(tmp_path, monkeypatch):
    seen, own = [], partial_label_losses.large_loss_rejection

    def rejection(pred, target, fraction):
        seen.append((fraction, len(target), (target == 0).any()))
        return own(pred, target, fraction)

    monkeypatch.setattr(partial_label_losses, 'large_loss_rejection', rejection)
    config = write_tiny_config(tmp_path, _PARTIAL.format(loss=dict(LOSSES['LL-R'], delta=0.1)))
    build_runner(config, tmp_path / 'whole').train()
    # after the check at the start, of one image
    assert [step for step in seen if step[1] == 4] == [
        (epoch / 10, 4, False) for epoch in (0, 0, 0, 1, 1, 1, 2, 2, 2)
    ]
    seen.clear()
    resume = dict(resume=True, load_from=str(tmp_path / 'whole/epoch_2.pth'))
    build_runner(config, tmp_path / 'resumed', **resume).train()
    assert [fraction for fraction, images, _ in seen if images == 4] == [0.2] * 3
    assert_same_training(tmp_path / 'whole/epoch_3.pth', tmp_path / 'resumed/epoch_3.pth')


def test_prior_is_compared_with_the_classes_of_the_training(tmp_path):
    loss = dict(LOSSES['CSL'], prior=write_prior(tmp_path, ant=0.1, bee=0.1, cat=0.1, cow=0.1))
    config = write_tiny_config(tmp_path, _PARTIAL.format(loss=loss))
    with pytest.raises(ConfigError, match="only one of them has 'cow'"):
        build_runner(config, tmp_path / 'run').train()
