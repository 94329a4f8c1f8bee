import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from tiny_run import write_tiny_config
from torch import nn

from mmpretrain_mldecoder.engine import PortableRunner
from mmpretrain_mldecoder.engine.runners.resume import check_resumable, check_resumed_optimizer
from mmpretrain_mldecoder.errors import RunError

_CHECKPOINT = dict(
    state_dict=nn.Linear(3, 2).state_dict(),
    ema_state_dict={},
    meta=dict(epoch=1, iter=3, seed=0),
    message_hub={},
    optimizer={},
    param_schedulers=[{}],
)


def _check(checkpoint, model=None, **options):
    options = dict(num_schedules=1, has_average=True) | options
    check_resumable(checkpoint, 'epoch_1.pth', model or nn.Linear(3, 2), **options)


def test_whole_one():
    _check(_CHECKPOINT)
    state_dict = {f'module.{name}': v for name, v in _CHECKPOINT['state_dict'].items()}
    _check(_CHECKPOINT | dict(state_dict=state_dict))
    without_schedule = {k: v for k, v in _CHECKPOINT.items() if k != 'param_schedulers'}
    _check(without_schedule, num_schedules=0)


@pytest.mark.parametrize('part', ['state_dict', 'meta', 'message_hub', 'optimizer', 'seed', 'iter'])
def test_absent_part(part):
    checkpoint = copy.deepcopy(_CHECKPOINT)
    if part in checkpoint:
        del checkpoint[part]
    else:
        del checkpoint['meta'][part]
    with pytest.raises(RunError, match=rf'it has no (meta\.)?{part}.*Name an epoch_N\.pth'):
        _check(checkpoint)


@pytest.mark.parametrize('checkpoint', [[1, 2], _CHECKPOINT['state_dict']])
def test_something_else(checkpoint):
    with pytest.raises(RunError, match=r'epoch_1\.pth is not a checkpoint that a training can'):
        _check(checkpoint)


def test_absent_schedule():
    checkpoint = {k: v for k, v in _CHECKPOINT.items() if k != 'param_schedulers'}
    with pytest.raises(RunError, match='it has no param_schedulers'):
        _check(checkpoint)


def test_other_number_of_schedules():
    with pytest.raises(RunError, match='with 1 param_scheduler, and the config has 2'):
        _check(_CHECKPOINT, num_schedules=2)


@pytest.mark.parametrize(
    'damage',
    [dict(meta=dict(epoch='x', iter=3, seed=0)), dict(message_hub=[]), dict(state_dict=None)],
)
def test_part_of_another_kind(damage):
    with pytest.raises(RunError, match=r'it has no (meta\.epoch|message_hub|state_dict) '):
        _check(_CHECKPOINT | damage)


def test_averages_that_nothing_goes_on_with():
    with pytest.raises(RunError, match='the config has no DualEMAHook'):
        _check(_CHECKPOINT, has_average=False)


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        (
            nn.Linear(3, 4),
            r'2 weights differ, the first is weight, \(2, 3\) in the file and \(4, 3\)',
        ),
        (
            nn.Linear(3, 2, bias=False),
            r'1 weights differ, the first is bias, \(2,\) .* absent in the',
        ),
        (nn.Sequential(nn.Linear(3, 2)), 'the first is 0.weight, absent in the file'),
    ],
)
def test_other_model(model, message):
    with pytest.raises(RunError, match=message):
        _check(_CHECKPOINT, model)


def test_other_optimizer():
    weight = [nn.Parameter(torch.ones(1))]
    sgd, adam = torch.optim.SGD(weight, lr=1.0), torch.optim.Adam(weight)
    check_resumed_optimizer(OptimWrapper(sgd))
    sgd.load_state_dict(adam.state_dict())
    with pytest.raises(RunError, match=r'another optimiser than SGD: it has no .*momentum'):
        check_resumed_optimizer(OptimWrapper(sgd))


_SCHEDULE = dict(type='ConstantLR', begin=0, end=1)
_PLAIN = """
del optim_wrapper['type'], optim_wrapper['loss_scale']
train_dataloader.update(num_workers=0, persistent_workers=False)
train_dataloader['collate_fn'] = dict(type='default_collate')
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
default_hooks['checkpoint'].update(by_epoch=False, interval=1, save_best=None)
"""


@pytest.fixture(scope='module')
def by_mmengine(tmp_path_factory):
    """A config, and its work folder after a training by MMEngine's own runner: 3 x 3 steps."""
    folder = tmp_path_factory.mktemp('host')
    cfg = Config.fromfile(write_tiny_config(folder, _PLAIN))
    cfg.work_dir, cfg.experiment_name = str(folder / 'run'), 'resumable'
    Runner.from_cfg(cfg).train()
    return cfg, folder / 'run'


def _resume(cfg, work_dir, checkpoint, **options):
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(options)
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name
    cfg.resume, cfg.load_from = True, str(checkpoint)
    runner = PortableRunner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.parametrize('steps', [3, 4])  # the end of an epoch, not counted yet; within the next
def test_goes_on_from_a_checkpoint_of_mmengine_s_runner(by_mmengine, tmp_path, steps):
    cfg, run = by_mmengine
    runner = _resume(cfg, tmp_path / f'go{steps}', run / f'iter_{steps}.pth')
    assert (runner.epoch, runner.iter) == (3, 9)
    found, expected = (
        torch.load(path / 'iter_9.pth', weights_only=False)
        for path in (tmp_path / f'go{steps}', run)
    )
    for part in ('state_dict', 'ema_state_dict'):
        for name, value in expected[part].items():
            assert torch.equal(found[part][name], value), name


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'train_dataloader.batch_size': 6},
            r'iteration 8 after 2 epochs, and here .* has 2 steps',
        ),
        (
            {'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=9)},
            r'iteration 8 after 2 epochs, .*the training counts iterations',
        ),
        ({'model.head.num_groups': 2}, r'iter_8\.pth does not fit the model, .* head\.'),
        ({'param_scheduler': [_SCHEDULE, _SCHEDULE]}, 'with 1 param_scheduler, .* config has 2'),
        (
            {'param_scheduler': [dict(type='CosineAnnealingLR', T_max=9, by_epoch=False)]},
            r'another schedule than CosineAnnealingLR, param_scheduler\.0: it has no T_max',
        ),
        ({'custom_hooks': []}, 'has no DualEMAHook'),
        ({'optim_wrapper.optimizer': dict(type='SGD', lr=0.1)}, 'another optimiser than SGD'),
    ],
)
def test_what_does_not_fit_the_training_is_refused(by_mmengine, tmp_path, options, message):
    cfg, run = by_mmengine
    with pytest.raises(RunError, match=message):
        _resume(cfg, tmp_path / 'other', run / 'iter_8.pth', **options)
