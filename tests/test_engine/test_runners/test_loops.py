from pathlib import Path

import pytest
from fault_parts import Stop
from mmengine.hooks import Hook
from preempted_run import assert_same_run
from tiny_run import assert_same_training, build_runner, read_log, train_and_list_images

from mmpretrain_mldecoder.errors import RunError

IN_THIS_PROCESS = {'train_dataloader.num_workers': 0}


class StopAt(Hook):
    """Stop a run at a stage, once ``is_time`` for it, instead of SIGKILL."""

    def __init__(self, stage, is_time, priority='HIGHEST'):
        def stop(runner, *args, **kwargs):
            if is_time(runner):
                raise Stop

        self.priority = priority
        setattr(self, stage, stop)


class Seen(Hook):
    """Keep the names of the images of each step."""

    def __init__(self):
        self.names = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        names = [Path(sample.img_path).name for sample in data_batch['data_samples']]
        self.names[runner.iter] = names


def check_resume(trained, work_dir, stop: StopAt, missing: str | None) -> None:
    """Stop a training, resume it, and compare with the unbroken one."""
    config, run = trained
    runner = build_runner(config, work_dir)
    runner.register_hook(stop)
    with pytest.raises(Stop):
        runner.train()
    build_runner(config, work_dir, resume=True).train()
    assert_same_run(work_dir, run)
    log = read_log(work_dir)
    assert 'is missing: it runs first' not in log if missing is None else missing in log


@pytest.mark.parametrize(
    ('stage', 'epoch', 'priority', 'is_missing'),
    [
        ('before_val_epoch', 1, 'HIGHEST', True),
        ('before_val', 3, 'HIGHEST', True),
        ('before_train_iter', 1, 'LOWEST', False),
    ],
)
def test_resumed_epochs_equal_unbroken(by_epoch, tmp_path, stage, epoch, priority, is_missing):
    stop = StopAt(stage, lambda runner: runner.epoch == epoch, priority)
    missing = f'The validation after {epoch} epochs is missing' if is_missing else None
    check_resume(by_epoch, tmp_path, stop, missing)


@pytest.mark.parametrize(
    ('stage', 'iteration', 'is_missing'),
    [
        ('before_val_epoch', 4, True),  # of a validation
        ('before_val', 8, True),  # of the last one
        ('before_train_iter', 7, False),  # 6 iterations are saved: two passes over the data
        ('before_train_iter', 5, False),  # the validation of 4 is part of the checkpoint
    ],
)
def test_resumed_iterations_equal_unbroken(by_iteration, tmp_path, stage, iteration, is_missing):
    stop = StopAt(stage, lambda runner: runner.iter == iteration)
    missing = f'The validation after {iteration} iterations is missing' if is_missing else None
    check_resume(by_iteration, tmp_path, stop, missing)


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        (
            dict(step_images=6, processes=2),
            r'6 images a step \(2 processes x 3\), this one has 4 images a step \(1 '
            r'process x 4\).* Set train_dataloader\.batch_size=6',
        ),
        (dict(step_images=0), r'batches of unknown size, .*Use as many processes as before, 1'),
    ],
)
def test_position_of_another_training_is_refused(by_epoch, tmp_path, changed, message):
    loop = build_runner(by_epoch[0], tmp_path).train_loop
    assert loop.position() == dict(
        counts='epochs', steps=0, epoch_steps=3, processes=1, step_images=4
    )
    loop.go_to(loop.position() | dict(processes=4, steps=2))
    assert loop.steps == 2
    with pytest.raises(RunError, match=message):
        loop.go_to(loop.position() | changed)


def test_other_length_of_an_epoch_is_a_warning_at_its_end(by_epoch, tmp_path):
    loop = build_runner(by_epoch[0], tmp_path).train_loop
    loop.go_to(loop.position() | dict(epoch_steps=4))
    assert 'an epoch had 4 steps' in read_log(tmp_path)


@pytest.mark.parametrize(('epoch', 'iteration', 'steps'), [(1, 3, 0), (1, 4, 1), (0, 3, 3)])
def test_position_of_a_checkpoint_that_has_none(by_epoch, tmp_path, epoch, iteration, steps):
    loop = build_runner(by_epoch[0], tmp_path).train_loop
    assert loop.guessed_position(epoch, iteration) == loop.position() | dict(steps=steps)
    with pytest.raises(RunError, match=r'iteration 7 after 1 epochs, and here .* has 3 steps'):
        loop.guessed_position(1, 7)


def test_iterations_are_those_of_mmengine(by_iteration, tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)  # 2 a pass
    config, run = by_iteration
    host = config.with_name('host.py')
    host.write_text(
        config.read_text().replace('by_epoch=False, max', "type='IterBasedTrainLoop', max")
    )
    # Same start: before it draws weights, MMEngine's loop has drawn a seed for its workers.
    options = IN_THIS_PROCESS | dict(load_from=str(run / 'iter_2.pth'))
    for path, module in ((config, 'mmpretrain_mldecoder.'), (host, 'mmengine.')):
        runner = build_runner(path, tmp_path / path.stem, **options)
        runner.train()
        assert type(runner.train_loop).__module__.startswith(module)
    assert_same_training(tmp_path / 'tiny' / 'iter_8.pth', tmp_path / 'host' / 'iter_8.pth')


@pytest.mark.parametrize('sampler', ['DefaultSampler', 'InfiniteSampler', 'SeededSampler'])
def test_resumed_iterations_see_the_remaining_images(by_iteration, tmp_path, sampler):
    config, _ = by_iteration
    options = {'train_dataloader.sampler.type': sampler, **IN_THIS_PROCESS}
    seen = []
    for resumed in ({}, dict(resume=True, load_from=str(tmp_path / 'iter_4.pth'))):
        runner = build_runner(config, tmp_path, **options, **resumed)
        hook = Seen()
        runner.register_hook(hook)
        runner.train()
        seen.append(hook.names)
    assert list(seen[0]) == list(range(8)) and list(seen[1]) == [4, 5, 6, 7]
    assert all(names == seen[0][step] for step, names in seen[1].items())
    assert seen[0][0] != seen[0][3] or sampler == 'InfiniteSampler'  # shuffled again


def test_skipped_images_are_not_read(by_iteration, tmp_path):
    config, run = by_iteration
    runner = build_runner(
        config, tmp_path, resume=True, load_from=str(run / 'iter_4.pth'), **IN_THIS_PROCESS
    )
    assert len(train_and_list_images(runner)) == 4 * 4  # steps x batch size


def test_workers_wait_for_the_first_step(by_iteration, tmp_path):
    loop = build_runner(by_iteration[0], tmp_path).train_loop
    assert type(loop).__name__ == 'ResumableIterLoop'
    assert loop.dataloader._iterator is None
    with pytest.raises(StopIteration):
        next(iter(loop.dataloader_iterator))
