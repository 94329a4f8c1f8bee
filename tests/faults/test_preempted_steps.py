"""Signals at the edges: the last step of an epoch, a validation, gradients that are gathered."""

import pytest
from preempted_run import check_resume_after_signal, checkpoints, preempt
from tiny_run import build_runner, read, write_tiny_config

pytestmark = pytest.mark.faults


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """A config and its work folder after an unbroken training: 3 epochs of 3 steps."""
    folder = tmp_path_factory.mktemp('preemption')
    config = write_tiny_config(folder)
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'


@pytest.mark.parametrize(
    ('stage', 'iteration', 'saved'),
    [
        ('before_train_iter', 5, 'epoch_1_iter_6.pth'),  # the last step of an epoch
        ('after_val_epoch', 6, 'epoch_2_iter_6.pth'),
    ],
)
def test_goes_on_from_the_end_of_an_epoch(unbroken, tmp_path, stage, iteration, saved):
    check_resume_after_signal(*unbroken, tmp_path, stage, iteration, saved)


def test_finishes_a_validation_whose_epoch_is_not_saved(unbroken, tmp_path):
    options = {'default_hooks.checkpoint.interval': 3, 'default_hooks.checkpoint.save_best': None}
    preempt(unbroken[0], tmp_path, 'before_val_iter', lambda runner: runner.epoch == 1, **options)
    assert checkpoints(tmp_path) == {'epoch_1_iter_3.pth'}
    assert read(tmp_path / 'epoch_1_iter_3.pth')['meta']['loop']['validated']


def test_gathered_gradients_are_not_lost(unbroken, tmp_path):
    options = {'optim_wrapper.accumulative_counts': 3}
    stage, is_time = 'before_train_iter', lambda runner: runner.iter == 3
    preempt(unbroken[0], tmp_path, stage, is_time, **options)
    assert 'epoch_1_iter_6.pth' in checkpoints(tmp_path)
