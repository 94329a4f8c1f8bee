import os
import signal
import subprocess
import time

import pytest
from mmengine.hooks import Hook
from preempted_run import check_goes_on, checkpoints, preempt
from tiny_run import assert_same_training, build_runner, write_tiny_config
from torch.utils.data import DataLoader

from mmpretrain_mldecoder.engine.runners.preemption import PreemptionSignal, _Undisturbed


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """A config and its work folder after an unbroken training: 3 epochs of 3 steps."""
    folder = tmp_path_factory.mktemp('preemption')
    config = write_tiny_config(folder)
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'


def test_finishes_the_step_saves_and_goes_on(unbroken, tmp_path, capsys):
    stage, saved = 'before_train_iter', 'epoch_0_iter_2.pth'
    check_goes_on(*unbroken, tmp_path, stage, 1, saved, signal.SIGUSR1)
    assert 'stopped by SIGUSR1: the same command with --resume' in capsys.readouterr().err


def test_reads_no_image_of_the_steps_that_are_done(unbroken, tmp_path):
    config, _ = unbroken
    preempt(config, tmp_path, 'before_train_iter', lambda runner: runner.iter == 1)
    options = {'train_dataloader.num_workers': 0, 'train_cfg.max_epochs': 1}
    runner = build_runner(config, tmp_path, resume=True, **options)
    read_images, dataset = [], runner.train_dataloader.dataset
    prepare = dataset.prepare_data
    dataset.prepare_data = lambda index: read_images.append(index) or prepare(index)
    forget = Hook()
    forget.before_train_epoch = lambda runner: read_images.clear()  # a check at the start reads one
    runner.register_hook(forget)
    runner.train()
    assert len(set(read_images)) == len(read_images) == 4  # 1 step of 3 is left


def test_leaves_a_validation_whose_epoch_is_saved_at_once(unbroken, tmp_path):
    config, run = unbroken
    preempt(config, tmp_path, 'before_val_iter', lambda runner: runner.epoch == 2)
    assert checkpoints(tmp_path) == {'epoch_1.pth', 'epoch_2.pth', 'best_coco_mAP_epoch_1.pth'}
    build_runner(config, tmp_path, resume=True).train()
    assert_same_training(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')


def test_before_training_nothing_is_saved(unbroken, tmp_path, capsys):
    stopped = preempt(unbroken[0], tmp_path, 'before_run', lambda runner: True)
    assert not stopped.all_together
    assert 'nothing is saved' in capsys.readouterr().err
    assert not checkpoints(tmp_path)


def test_loop_without_resume_in_an_epoch_keeps_the_default(unbroken, tmp_path):
    runner = build_runner(unbroken[0], tmp_path)
    runner._train_loop = dict(type='mmengine.EpochBasedTrainLoop', max_epochs=1)
    handlers = []
    runner.call_hook = lambda name, **kwargs: (
        type(runner).call_hook(runner, name, **kwargs),
        handlers.append(signal.getsignal(signal.SIGTERM)) if name == 'before_train_iter' else None,
    )
    runner.train()
    assert set(handlers) == {signal.SIG_DFL}


def test_workers_outlive_one_signal_of_others(tmp_path):
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
    first = []
    one = PreemptionSignal(lambda: first.append(True))
    now = [100.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    received = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: received.append('before'))
    killed = []
    try:
        one.catch()
        for now[0] in (100.0, 101.5):
            os.kill(os.getpid(), signal.SIGUSR1)
        assert one.received == signal.SIGUSR1 and first == [True]
        monkeypatch.setattr(os, 'kill', lambda pid, number: killed.append(number))
        now[0] = 102.5
        signal.raise_signal(signal.SIGUSR1)
        assert killed == [signal.SIGUSR1]
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        one.release()
        signal.raise_signal(signal.SIGUSR1)
        assert received == ['before']
    finally:
        signal.signal(signal.SIGUSR1, before)
