import os
import signal
import subprocess
import time

import pytest
from preempted_run import check_resume_after_signal, checkpoints, preempt
from tiny_run import build_runner, read, train_and_list_images
from torch.utils.data import DataLoader

from mmpretrain_mldecoder.engine.distributed import RankVote
from mmpretrain_mldecoder.engine.runners.preemption import PreemptionHook, _Undisturbed


def test_step_is_finished_and_saved(by_epoch, tmp_path):
    stage, saved = 'before_train_iter', 'epoch_0_iter_2.pth'
    stopped = check_resume_after_signal(*by_epoch, tmp_path, stage, 1, saved, signal.SIGUSR1)
    assert stopped.message == 'stopped by SIGUSR1: the same command with --resume continues.'


@pytest.mark.parametrize(
    ('stage', 'iteration', 'saved'),
    [
        ('before_train_iter', 4, 'epoch_0_iter_5.pth'),
        ('before_val_iter', 4, 'iter_4.pth'),  # at once: the weights are saved
        ('after_val_epoch', 4, 'epoch_0_iter_4.pth'),
    ],
)
def test_training_by_iterations(by_iteration, tmp_path, stage, iteration, saved):
    check_resume_after_signal(*by_iteration, tmp_path, stage, iteration, saved, signal.SIGUSR1)


def test_images_of_earlier_steps_are_not_read(by_epoch, tmp_path):
    config, _ = by_epoch
    preempt(config, tmp_path, 'before_train_iter', lambda runner: runner.iter == 1)
    options = {'train_dataloader.num_workers': 0, 'train_cfg.max_epochs': 1}
    runner = build_runner(config, tmp_path, resume=True, **options)
    images = train_and_list_images(runner)
    assert len(set(images)) == len(images) == 4  # 1 step of 3 is left


@pytest.mark.faults
@pytest.mark.parametrize(
    ('stage', 'iteration', 'saved'),
    [
        ('before_train_iter', 5, 'epoch_1_iter_6.pth'),  # the last step of an epoch
        ('after_val_epoch', 6, 'epoch_2_iter_6.pth'),
    ],
)
def test_end_of_an_epoch(by_epoch, tmp_path, stage, iteration, saved):
    check_resume_after_signal(*by_epoch, tmp_path, stage, iteration, saved)


@pytest.mark.faults
def test_validation_of_unsaved_weights_is_finished(by_epoch, tmp_path):
    options = {'default_hooks.checkpoint.interval': 3, 'default_hooks.checkpoint.save_best': None}
    preempt(by_epoch[0], tmp_path, 'before_val_iter', lambda runner: runner.epoch == 1, **options)
    assert checkpoints(tmp_path) == {'epoch_1_iter_3.pth'}
    assert read(tmp_path / 'epoch_1_iter_3.pth')['meta']['loop']['validated']


@pytest.mark.faults
def test_accumulated_gradients_are_not_lost(by_epoch, tmp_path):
    options = {'optim_wrapper.accumulative_counts': 3}
    stage, is_time = 'before_train_iter', lambda runner: runner.iter == 3
    preempt(by_epoch[0], tmp_path, stage, is_time, **options)
    assert 'epoch_1_iter_6.pth' in checkpoints(tmp_path)


def test_before_training_nothing_is_saved(by_epoch, tmp_path):
    stopped = preempt(by_epoch[0], tmp_path, 'before_run', lambda runner: True)
    assert not stopped.all_together
    assert 'nothing is saved' in stopped.message
    assert not checkpoints(tmp_path)


def test_other_loop_keeps_the_default(by_epoch, tmp_path):
    runner = build_runner(by_epoch[0], tmp_path)
    runner._train_loop = dict(type='mmengine.EpochBasedTrainLoop', max_epochs=1)
    handlers = []
    runner.call_hook = lambda name, **kwargs: (
        type(runner).call_hook(runner, name, **kwargs),
        handlers.append(signal.getsignal(signal.SIGTERM)) if name == 'before_train_iter' else None,
    )
    runner.train()
    assert set(handlers) == {signal.SIG_DFL}


def test_workers_survive_one_signal_of_others(tmp_path):
    loader = DataLoader(range(40), num_workers=1, worker_init_fn=_Undisturbed(None))
    batches = iter(loader)
    values = [next(batches).item()]
    (worker,) = batches._workers
    for number in (signal.SIGTERM, signal.SIGUSR1):  # at the same time, by another process
        subprocess.run(['kill', f'-{number.value}', str(worker.pid)], check=True)
    values += [batch.item() for batch in batches]
    assert values == list(range(40))


def test_workers_end_at_a_signal_of_their_process():
    loader = DataLoader(
        range(4), num_workers=1, worker_init_fn=_Undisturbed(None), persistent_workers=True
    )
    batches = iter(loader)
    next(batches)
    (worker,) = batches._workers
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


def test_second_signal_acts_by_default(monkeypatch):
    now, received, killed = [100.0], [], []
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    vote = RankVote()
    hook = PreemptionHook(vote)
    before = signal.signal(signal.SIGUSR1, lambda number, frame: received.append('before'))
    try:
        with hook.listen():
            hook._is_training = True
            for now[0] in (100.0, 101.5):
                os.kill(os.getpid(), signal.SIGUSR1)
            assert not vote.any(False) and vote.noticed
            monkeypatch.setattr(os, 'kill', lambda pid, number: killed.append(number))
            now[0] = 102.5
            signal.raise_signal(signal.SIGUSR1)
            assert killed == [signal.SIGUSR1]
            assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        signal.raise_signal(signal.SIGUSR1)
        assert received == ['before']
    finally:
        signal.signal(signal.SIGUSR1, before)
