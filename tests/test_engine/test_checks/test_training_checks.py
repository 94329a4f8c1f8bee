import copy
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, OneCycleLR, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import nn

from mmpretrain_mldecoder.engine import DualEMAHook, PlainOneCycleLR
from mmpretrain_mldecoder.engine.checks.training import (
    check_average,
    check_paramwise,
    check_recomputed_norms,
    check_schedules,
    check_training,
)
from mmpretrain_mldecoder.errors import ConfigError


@pytest.mark.parametrize('loss', ['SPLCLoss', 'LargeLossRejection', 'HillLoss'])
def test_losses_that_change_with_the_epoch(loss):
    runner = SimpleNamespace(
        model=nn.Sequential(MODELS.build(dict(type=loss))),
        cfg={},
        hooks=[],
        param_schedulers=None,
        optim_wrapper=None,
    )
    loop = SimpleNamespace(dataloader=torch.utils.data.DataLoader([0, 1]), max_iters=2)
    warnings = [*check_training(runner, loop, validates=False)]
    assert len(warnings) == (loss != 'HillLoss')
    assert all(f'{loss} changes with the epoch' in warning for warning in warnings)
    loop.run_epoch = None  # of a training by epochs
    assert [*check_training(runner, loop, validates=False)] == []


@pytest.mark.parametrize(('decay', 'steps'), [(0.99, 4), (0.9997, 50), (0.9997, 3000), (0.5, 1)])
def test_average_that_stays_at_the_start(decay, steps):
    """The decay that the warning names leaves less than 5 % of the first weights."""
    named = re.search(r'Set decay=(\S+) in', next(check_average(DualEMAHook(decay=decay), steps)))
    if steps > 1:
        assert not [*check_average(DualEMAHook(decay=float(named[1])), steps)]
    assert not [*check_average(DualEMAHook(decay=0.99), 540)]


def test_batch_norms_that_are_computed_twice():
    """With the momentum that the warning names, two updates are one with 0.1."""
    config = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)
    assert not [*check_recomputed_norms(MODELS.build(config))]
    (warning,) = check_recomputed_norms(MODELS.build(dict(config, with_cp=True)))
    momentum = float(re.search(r'momentum=(0[\d.]+)', warning)[1])
    config |= dict(with_cp=True, norm_cfg=dict(type='BN', momentum=momentum))
    assert not [*check_recomputed_norms(MODELS.build(config))]
    once, twice = nn.BatchNorm2d(3), nn.BatchNorm2d(3, momentum=momentum)
    for norm in (once, twice, twice):
        norm(torch.full((4, 3, 5, 5), 7.0))
    torch.testing.assert_close(twice.running_mean, once.running_mean, rtol=1e-3, atol=0)


def _schedule(cls, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return cls(optimizer, **options)


@pytest.mark.parametrize(
    ('options', 'warning'),
    [
        (dict(T_max=3), None),
        (dict(T_max=2, begin=1), None),
        (dict(T_max=5), 'T_max=5, but runs for 3 epochs: the learning rate does not reach its end'),
        (dict(T_max=2), 'T_max=2, but runs for 3 epochs: the learning rate rises again'),
        (dict(T_max=2, end=2), 'ends after 2 of 3 epochs'),
        (dict(T_max=2, begin=4), 'begins at 4 of 3 epochs: it does nothing'),
    ],
)
def test_length_of_a_schedule(options, warning):
    warnings = [*check_schedules([_schedule(CosineAnnealingLR, **options)], [{}], 3, 30)]
    assert len(warnings) == (warning is not None)
    assert all(warning in found for found in warnings)


def test_one_cycle_in_steps_is_compared_in_epochs():
    schedule = _schedule(OneCycleLR, eta_max=1.0, total_steps=20, by_epoch=False)
    with pytest.raises(ConfigError, match='total_steps = 2, but the training has 3 epochs'):
        next(check_schedules([schedule], [{}], 3, 30))
    with pytest.raises(ConfigError, match='total_steps = 20, but the training has 30 iterations'):
        next(check_schedules([schedule], [dict(by_epoch=False)], 3, 30))


def test_settings_of_parameters_act_or_a_line_says_why_not(folder):
    """Each that does nothing is named; following the line leaves none."""
    model = nn.ModuleDict(dict(backbone=nn.Conv2d(3, 4, 1), head=nn.BatchNorm2d(4)))

    def warnings(constructor='NoDecay1D', schedule=PlainOneCycleLR, eta_max=None, **paramwise):
        config = dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor=f'{constructor}Constructor',
            paramwise_cfg=dict(paramwise),
        )
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            wrapper = build_optim_wrapper(model, copy.deepcopy(config))
        cycle = schedule(wrapper, eta_max=eta_max, total_steps=9)
        return [*check_paramwise(model, config, [cycle])]

    slow = dict(backbone=dict(lr_mult=0.1))
    assert not warnings(custom_keys=slow, flat_decay_mult=0)
    default = 'DefaultOptimWrapper'
    assert not warnings(default, custom_keys=slow)
    (line,) = warnings(custom_keys=dict(bckbone=dict(lr_mult=0.1)))
    assert 'near: backbone' in line
    (line,) = warnings(schedule=OneCycleLR, eta_max=1.0, custom_keys=slow)
    assert "Remove eta_max and set param_scheduler.type to 'PlainOneCycleLR'" in line
    assert not warnings(schedule=OneCycleLR, eta_max=1.0)
    (line,) = warnings(default, layer_decay_rate=0.8)
    assert f"with {default}Constructor: set optim_wrapper.constructor to 'NoDecay1D" in line
    model['backbone'].get_layer_depth = lambda name, prefix: (int(prefix not in name), 2)
    assert not warnings(layer_decay_rate=0.8)
    (line,) = warnings(schedule=OneCycleLR, eta_max=1.0, layer_decay_rate=0.8)
    assert 'so layer_decay_rate in' in line


ITERATIONS = {'lines': 'train_cfg = dict(by_epoch=False, max_iters=2)\ndel param_scheduler\n'}
SAVED = 'default_hooks.checkpoint'
UNVALIDATED = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
# What a line says at the start, the options that it is about, and those that follow it.
WARNINGS = [
    ('has total_steps=10, but runs for 3 epochs', {'param_scheduler.total_steps': 10}, {}),
    (
        '(LinearLR) counts epochs, but the training counts iterations',
        ITERATIONS | dict(param_scheduler=dict(type='LinearLR', end=2)),
        ITERATIONS | dict(param_scheduler=dict(type='LinearLR', end=2, by_epoch=False)),
    ),
    (
        'Set by_epoch to False, and interval to a number of iterations',
        ITERATIONS,
        ITERATIONS | {f'{SAVED}.by_epoch': False, f'{SAVED}.interval': 2},
    ),
    ('does nothing without --auto-scale-lr (enable=True)', {}, {'auto_scale_lr.enable': True}),
    ('There is no validation: no', UNVALIDATED, UNVALIDATED | {f'{SAVED}.save_best': None}),
    (
        'batch norms twice a step',
        {'model.backbone.with_cp': True},
        {'model.backbone.with_cp': True, 'model.backbone.norm_eval': True},
    ),
]


@pytest.mark.parametrize(('line', 'wrong', 'followed'), WARNINGS, ids=[w[0] for w in WARNINGS])
def test_what_may_be_meant_is_logged_and_leads_out(start, line, wrong, followed):
    assert line in start(**wrong)
    assert line not in start(**followed)
