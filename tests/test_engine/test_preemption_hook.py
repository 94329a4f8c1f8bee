import os
import signal
import time

import pytest
from mmengine.hooks import Hook
from tiny_run import assert_same_training, build_runner, read, write_tiny_config

from mmpretrain_mldecoder.engine import Preempted, find_resume_checkpoint
from mmpretrain_mldecoder.engine.preemption_signal import SIGNALS, PreemptionSignal


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """A config and its work folder after an unbroken training: 3 epochs of 3 steps."""
    folder = tmp_path_factory.mktemp('preemption')
    config = write_tiny_config(folder)
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'


class _SignalAt(Hook):
    """Send this process a signal at a stage of a run, once ``is_time`` for it."""

    priority = 'HIGHEST'

    def __init__(self, stage, is_time, number=signal.SIGTERM):
        def send(runner, *args, **kwargs):
            if is_time(runner):
                os.kill(os.getpid(), number)

        setattr(self, stage, send)


def _preempt(config, work_dir, stage, is_time, number=signal.SIGTERM, **options):
    before = [signal.getsignal(one) for one in SIGNALS]
    runner = build_runner(config, work_dir, **options)
    runner.register_hook(_SignalAt(stage, is_time, number))
    with pytest.raises(Preempted) as stopped:
        runner.train()
    assert stopped.value.code == 75
    assert [signal.getsignal(one) for one in SIGNALS] == before
    return stopped.value


def _names(work_dir):
    return {path.name for path in work_dir.glob('*.pth')}


@pytest.mark.parametrize(
    ('stage', 'iteration', 'saved'),
    [
        ('before_train_iter', 1, 'epoch_0_iter_2.pth'),
        ('before_train_iter', 5, 'epoch_1_iter_6.pth'),  # the last step of an epoch
        ('after_val_epoch', 6, 'epoch_2_iter_6.pth'),
    ],
)
def test_finishes_the_step_saves_and_goes_on(unbroken, tmp_path, capsys, stage, iteration, saved):
    config, run = unbroken
    number = signal.SIGUSR1 if iteration == 1 else signal.SIGTERM
    stopped = _preempt(config, tmp_path, stage, lambda runner: runner.iter == iteration, number)
    assert stopped.all_together
    assert f'stopped by {number.name}: the same command with --resume' in capsys.readouterr().err
    assert find_resume_checkpoint(tmp_path) == str(tmp_path / saved)
    assert saved.endswith(f'_{read(tmp_path / saved)["meta"]["iter"]}.pth')
    (tmp_path / 'last_checkpoint').unlink()  # the numbers tell as well
    assert find_resume_checkpoint(tmp_path) == str(tmp_path / saved)

    options = {'train_dataloader.num_workers': 0}
    build_runner(config, tmp_path, resume=True, **options).train()
    assert_same_training(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')
    assert _names(tmp_path) == _names(run)  # without that of the signal
    found, expected = (read(p / 'epoch_3.pth')['message_hub'] for p in (tmp_path, run))
    for key in ('train/loss', 'train/lr', 'val/coco/mAP'):
        values = [hub['log_scalars'][key]['values'].tolist() for hub in (found, expected)]
        assert values[0] == values[1]
    assert found['runtime_info']['best_score'] == expected['runtime_info']['best_score']


def test_reads_no_picture_of_the_steps_that_are_done(unbroken, tmp_path):
    config, _ = unbroken
    _preempt(config, tmp_path, 'before_train_iter', lambda runner: runner.iter == 1)
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
    _preempt(config, tmp_path, 'before_val_iter', lambda runner: runner.epoch == 2)
    assert _names(tmp_path) == {'epoch_1.pth', 'epoch_2.pth', 'best_coco_mAP_epoch_1.pth'}
    build_runner(config, tmp_path, resume=True).train()
    assert_same_training(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')


def test_finishes_a_validation_whose_epoch_is_not_saved(unbroken, tmp_path):
    options = {'default_hooks.checkpoint.interval': 3, 'default_hooks.checkpoint.save_best': None}
    _preempt(unbroken[0], tmp_path, 'before_val_iter', lambda runner: runner.epoch == 1, **options)
    assert _names(tmp_path) == {'epoch_1_iter_3.pth'}
    assert read(tmp_path / 'epoch_1_iter_3.pth')['meta']['loop']['validated']


def test_gathered_gradients_are_not_lost(unbroken, tmp_path):
    options = {'optim_wrapper.accumulative_counts': 3}
    stage, is_time = 'before_train_iter', lambda runner: runner.iter == 3
    _preempt(unbroken[0], tmp_path, stage, is_time, **options)
    assert 'epoch_1_iter_6.pth' in _names(tmp_path)


def test_before_training_nothing_is_saved(unbroken, tmp_path, capsys):
    stopped = _preempt(unbroken[0], tmp_path, 'before_run', lambda runner: True)
    assert not stopped.all_together
    assert 'nothing is saved' in capsys.readouterr().err
    assert not _names(tmp_path)


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
