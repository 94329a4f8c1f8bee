"""Signals to a training that counts iterations."""

import signal

import pytest
from preempted_run import checkpoints, preempt
from tiny_iterations import ITERATIONS
from tiny_run import assert_same_training, build_runner, write_tiny_config

from mmpretrain_mldecoder.checkpoints import find_resume_checkpoint


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """A config and its work folder after an unbroken training of 8 steps."""
    folder = tmp_path_factory.mktemp('iterations')
    config = write_tiny_config(folder, ITERATIONS)
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'


@pytest.mark.parametrize(
    ('stage', 'iteration', 'saved'),
    [
        ('before_train_iter', 4, 'epoch_0_iter_5.pth'),
        ('before_val_iter', 4, 'iter_4.pth'),  # at once: the weights are saved
        ('after_val_epoch', 4, 'epoch_0_iter_4.pth'),
    ],
)
def test_finishes_the_step_saves_and_goes_on(unbroken, tmp_path, stage, iteration, saved):
    config, run = unbroken
    stopped = preempt(
        config, tmp_path, stage, lambda runner: runner.iter == iteration, signal.SIGUSR1
    )
    assert stopped.all_together
    assert find_resume_checkpoint(tmp_path) == str(tmp_path / saved)
    build_runner(config, tmp_path, resume=True).train()
    assert_same_training(tmp_path / 'iter_8.pth', run / 'iter_8.pth')
    assert checkpoints(tmp_path) == checkpoints(run)  # without that of the signal
