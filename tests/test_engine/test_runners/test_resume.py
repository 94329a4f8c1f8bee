import copy
import random
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner
from tiny_run import assert_same_training, build_runner, read, read_log, write_tiny_config
from torch import nn

from mmpretrain_mldecoder.engine import IterSeedHook, PortableRunner
from mmpretrain_mldecoder.engine.runners import resume
from mmpretrain_mldecoder.engine.runners import runner as runners
from mmpretrain_mldecoder.engine.runners.resume import check_resumable
from mmpretrain_mldecoder.errors import ConfigError, RunError

CHECKPOINT = dict(
    state_dict=nn.Linear(3, 2).state_dict(),
    ema_state_dict={},
    meta=dict(epoch=1, iter=3, seed=0),
    message_hub={},
    optimizer={},
    param_schedulers=[{}],
)


def check(checkpoint, model=None, **options):
    options = dict(num_schedules=1, has_average=True) | options
    return check_resumable(checkpoint, 'epoch_1.pth', model or nn.Linear(3, 2), **options)


def test_complete_checkpoint():
    check(CHECKPOINT)
    wrapped = {f'module.{name}': v for name, v in CHECKPOINT['state_dict'].items()}
    assert check(CHECKPOINT | dict(state_dict=wrapped))['state_dict'].keys() == {'weight', 'bias'}
    without_schedule = {k: v for k, v in CHECKPOINT.items() if k != 'param_schedulers'}
    check(without_schedule, num_schedules=0)


@pytest.mark.parametrize(
    ('changed', 'absent'),
    [
        *((dict.fromkeys([part]), part) for part in CHECKPOINT if part != 'ema_state_dict'),
        (dict(meta=dict(epoch='x', iter=3, seed=0)), r'meta\.epoch'),
        (dict(meta=dict(epoch=1, iter=3)), r'meta\.seed'),
        (dict(message_hub=[]), 'message_hub'),
    ],
)
def test_absent_part(changed, absent):
    with pytest.raises(RunError, match=rf'it has no {absent}.*Name an epoch_N\.pth'):
        check(CHECKPOINT | changed)
    with pytest.raises(RunError, match=r'epoch_1\.pth cannot be resumed from'):
        check([1, 2])


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        (nn.Linear(3, 4), r'2 weights differ, .* weight, \(2, 3\) in .* \(4, 3\)'),
        (nn.Linear(3, 2, bias=False), r'1 weights .* bias, \(2,\) .* absent in the'),
        (nn.Sequential(nn.Linear(3, 2)), 'the first is 0.weight, absent in the file'),
    ],
)
def test_other_model(model, message):
    with pytest.raises(RunError, match=message):
        check(CHECKPOINT, model)


_PLAIN = """
del optim_wrapper['type'], optim_wrapper['loss_scale']
train_dataloader['collate_fn'] = dict(type='default_collate')
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
default_hooks['checkpoint'].update(by_epoch=False, interval=1, save_best=None)
"""


@pytest.fixture(scope='module')
def by_mmengine(tmp_path_factory):
    """A config, and its work dir after a training by MMEngine's own runner: 3 x 3 steps."""
    folder = tmp_path_factory.mktemp('host')
    cfg = Config.fromfile(write_tiny_config(folder, _PLAIN))
    cfg.work_dir, cfg.experiment_name = str(folder / 'run'), 'resumable'
    Runner.from_cfg(cfg).train()
    return cfg, folder / 'run'


def resumed(cfg, work_dir, checkpoint, **options):
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(options)
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name
    cfg.resume, cfg.load_from = True, str(checkpoint)
    runner = PortableRunner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.parametrize('steps', [3, 4])  # the end of an epoch, not counted yet; within the next
def test_checkpoint_of_mmengines_runner(by_mmengine, tmp_path, steps):
    cfg, run = by_mmengine
    runner = resumed(cfg, tmp_path / f'go{steps}', run / f'iter_{steps}.pth')
    assert (runner.epoch, runner.iter) == (3, 9)
    found, expected = (
        torch.load(path / 'iter_9.pth', weights_only=False)
        for path in (tmp_path / f'go{steps}', run)
    )
    for part in ('state_dict', 'ema_state_dict'):
        torch.testing.assert_close(found[part], expected[part], rtol=0, atol=0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'train_dataloader.batch_size': 6}, '8 after 2 epochs, and here .* has 2 steps'),
        (
            {'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=9)},
            r'iteration 8 after 2 epochs, .*the training counts iterations',
        ),
    ],
)
def test_other_config_is_refused(by_mmengine, tmp_path, options, message):
    cfg, run = by_mmengine
    with pytest.raises(RunError, match=message):
        resumed(cfg, tmp_path / 'other', run / 'iter_8.pth', **options)


@pytest.mark.parametrize('seed', [None, 123])
def test_seed_of_the_checkpoint_and_one_load(unseeded, tmp_path, monkeypatch, seed):
    config, run = unseeded
    loads, load = [], CheckpointLoader.load_checkpoint
    monkeypatch.setattr(
        CheckpointLoader, 'load_checkpoint', lambda *a, **k: loads.append(a) or load(*a, **k)
    )
    checkpoint = str(run / 'epoch_1.pth')
    options = {'randomness.seed': seed, 'resume': True, 'load_from': checkpoint}
    build_runner(config, tmp_path, **options).train()
    assert len(loads) == 1
    assert_same_training(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')
    warned = "continues with the checkpoint's seed" in read_log(tmp_path)
    assert warned == (seed is not None)
    # the log continues as well: 9 steps, 3 of them before the resume
    log_scalars = read(tmp_path / 'epoch_3.pth')['message_hub']['log_scalars']
    before = read(run / 'epoch_1.pth')['message_hub']['log_scalars']['train/loss']['values']
    assert len(log_scalars['train/loss']['values']) == 9
    assert torch.equal(log_scalars['train/loss']['values'][:3], before)


def test_ranks_may_draw_other_numbers_in_one_order(by_epoch, tmp_path, monkeypatch):
    """With ``diff_rank_seed`` the sampler and the checkpoint keep the seed of all ranks."""
    drawn = []
    for rank in (0, 1):
        monkeypatch.setattr(runners, 'get_rank', lambda rank=rank: rank)
        option = {'randomness.diff_rank_seed': True}
        runner = build_runner(by_epoch[0], tmp_path, **option)
        drawn.append(torch.rand(1).item())
        assert runner.seed == 0 and runner.train_dataloader.sampler.seed == 0
    assert drawn[0] != drawn[1]


def test_first_weights_are_not_asked_for_again(unseeded, tmp_path):
    config, run = unseeded
    gone = dict(type='Pretrained', checkpoint=str(tmp_path / 'gone.pth'))
    options = {'model.backbone.init_cfg': gone}
    with pytest.raises(FileNotFoundError, match=r'gone\.pth'):
        build_runner(config, tmp_path / 'new', **options).train()
    checkpoint = str(run / 'epoch_1.pth')
    build_runner(config, tmp_path, resume=True, load_from=checkpoint, **options).train()
    assert_same_training(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')


@pytest.mark.parametrize('epochs', [3, 4])
def test_schedule_of_another_length_is_said(unseeded, tmp_path, epochs):
    config, run = unseeded
    options = {'train_cfg.max_epochs': epochs, 'param_scheduler.total_steps': epochs}
    checkpoint = str(run / 'epoch_2.pth')
    runner = build_runner(config, tmp_path, resume=True, load_from=checkpoint, **options)
    runner.train()
    assert runner.epoch == epochs
    said = re.search('= 9 of the checkpoint, not 12 .* To train longer, start', read_log(tmp_path))
    assert bool(said) == ('of the checkpoint, not' in read_log(tmp_path)) == (epochs == 4)


def test_auto(unseeded, tmp_path):
    config, run = unseeded
    options = {'train_cfg.max_epochs': 1, 'load_from': str(run / 'best_coco_mAP_epoch_1.pth')}
    (tmp_path / 'new').mkdir()
    runner = build_runner(config, tmp_path / 'new', resume='auto', **options)
    runner.find_start()
    assert f'Nothing to resume in {tmp_path}/new' in read_log(tmp_path / 'new')
    assert not runner._resume and runner._load_from == options['load_from']
    torch.save(read(run / 'epoch_1.pth'), tmp_path / 'epoch_1.pth')
    damaged = tmp_path / 'epoch_2.pth'
    damaged.write_bytes((run / 'epoch_2.pth').read_bytes()[:-100])
    for auto in (dict(resume='auto', **options), dict(resume=True)):
        runner = build_runner(config, tmp_path, **auto)
        runner.find_start()
        assert runner._resume is True and runner._load_from == str(tmp_path / 'epoch_1.pth')


def test_damaged_checkpoints(unseeded, tmp_path):
    config, run = unseeded
    damaged = tmp_path / 'epoch_2.pth'
    damaged.write_bytes((run / 'epoch_2.pth').read_bytes()[:-100])
    pickled = tmp_path / 'pickled.pth'
    torch.save(dict(state_dict={}, meta=pytest.raises), pickled)
    for options, message in (
        (dict(resume='auto'), r'damaged: epoch_2\.pth'),
        (dict(load_from=str(damaged)), r'epoch_2\.pth is truncated.*Name another checkpoint'),
        (dict(load_from=str(pickled)), 'could run code'),
    ):
        runner = build_runner(config, tmp_path, **dict(resume=True) | options)
        with pytest.raises(ConfigError, match=message):
            runner.find_start()


def test_machines_that_find_different_checkpoints(unseeded, tmp_path, monkeypatch):
    runner = build_runner(unseeded[0], tmp_path, resume='auto')
    monkeypatch.setattr(resume, 'on_each_machine', lambda act: ['a/epoch_1.pth', None])
    with pytest.raises(RunError, match=r'\(0: epoch_1\.pth, 1: none\): .* must be one folder'):
        runner.find_start()


def test_a_test_that_is_asked_to_resume(unseeded, tmp_path):
    config, run = unseeded
    last = str(run / 'epoch_3.pth')
    runner = build_runner(config, tmp_path, resume=True, load_from=last)
    runner.param_schedulers = [runner.param_schedulers]
    assert 'coco/mAP' in runner.test()


def test_random_numbers_of_a_step():
    def draw(seed=0, rank=0, iteration=0, past=0, stage='iter'):
        torch.rand(past + 1), np.random.rand(past + 1), random.random()
        runner, hook = SimpleNamespace(seed=seed, rank=rank, iter=iteration), IterSeedHook()
        if stage == 'iter':
            hook.before_train_iter(runner, batch_idx=0)
        else:
            hook.before_train_epoch(runner)
        return random.random(), np.random.rand(), torch.rand(()).item()

    assert draw(iteration=7) == draw(iteration=7, past=100)
    draws = [draw(), draw(iteration=1), draw(rank=1), draw(seed=1), draw(stage='epoch')]
    for generator in zip(*draws, strict=True):
        assert len(set(generator)) == len(draws)
