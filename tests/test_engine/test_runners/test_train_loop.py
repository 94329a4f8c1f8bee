import pytest
from mmengine.hooks import Hook
from tiny_run import assert_same_training, build_runner, read, write_tiny_config

from mmpretrain_mldecoder.errors import RunError


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """A config and its work folder after an unbroken training."""
    folder = tmp_path_factory.mktemp('loop')
    config = write_tiny_config(folder)
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'


class _Stop(Exception):
    """What a run is stopped with, instead of SIGKILL."""


class _StopAt(Hook):
    """Stop a run at a stage of an epoch."""

    def __init__(self, stage, epoch, priority='LOWEST'):
        def stop(runner, *args, **kwargs):
            if runner.epoch == epoch:
                raise _Stop

        self.priority = priority
        setattr(self, stage, stop)


def _best(checkpoint) -> dict:
    info = read(checkpoint)['message_hub']['runtime_info']
    return {key: info[key] for key in ('best_score', 'best_ckpt')}


def _log(work_dir) -> str:
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


@pytest.mark.parametrize(
    ('stage', 'epoch', 'priority', 'is_missing'),
    [
        ('before_val_epoch', 1, 'HIGHEST', True),
        ('before_val', 3, 'HIGHEST', True),
        ('before_train_iter', 1, 'LOWEST', False),
    ],
)
def test_validation_that_was_cut_off_runs_first(
    unbroken, tmp_path, stage, epoch, priority, is_missing
):
    config, run = unbroken
    runner = build_runner(config, tmp_path)
    runner.register_hook(_StopAt(stage, epoch, priority))
    with pytest.raises(_Stop):
        runner.train()
    build_runner(config, tmp_path, resume=True).train()
    assert_same_training(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')
    expected = _best(run / 'epoch_3.pth')
    found = _best(tmp_path / 'epoch_3.pth')
    assert found['best_score'] == expected['best_score']
    assert found['best_ckpt'] == expected['best_ckpt'].replace(str(run), str(tmp_path))
    assert {p.name for p in tmp_path.glob('*.pth')} == {p.name for p in run.glob('*.pth')}
    assert (f'The validation after {epoch} epochs is missing' in _log(tmp_path)) == is_missing
    # nor is a score counted twice
    scores = [read(p / 'epoch_3.pth')['message_hub']['log_scalars'] for p in (tmp_path, run)]
    found, expected = (part['val/coco/mAP']['values'].tolist() for part in scores)
    assert found == expected


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        (
            dict(step_images=6, processes=2),
            r'6 images a step \(2 processes x 3\), this one has 4 images a step \(1 '
            r'process x 4\).* Set train_dataloader\.batch_size=6',
        ),
        (dict(step_images=7), r'7 images .*Set train_dataloader\.batch_size=7'),
        (
            dict(step_images=0),
            r'1 process and batches of unknown size, .*Take as many processes as before, 1',
        ),
        (dict(steps=1, epoch_steps=4), r'had 4 steps .* has 3 now.*in the middle'),
    ],
)
def test_refuses_a_position_that_does_not_fit(unbroken, tmp_path, changed, message):
    loop = build_runner(unbroken[0], tmp_path).train_loop
    assert loop.position() == dict(
        counts='epochs', steps=0, epoch_steps=3, processes=1, step_images=4
    )
    loop.go_to(loop.position() | dict(processes=4, steps=2))
    assert loop.steps == 2
    with pytest.raises(RunError, match=message):
        loop.go_to(loop.position() | changed)


def test_other_length_of_an_epoch_is_told_at_its_end(unbroken, tmp_path):
    loop = build_runner(unbroken[0], tmp_path).train_loop
    loop.go_to(loop.position() | dict(epoch_steps=4))
    assert 'an epoch had 4 steps' in _log(tmp_path)


@pytest.mark.parametrize(('epoch', 'iteration', 'steps'), [(1, 3, 0), (1, 4, 1), (0, 3, 3)])
def test_position_of_a_checkpoint_that_has_none(unbroken, tmp_path, epoch, iteration, steps):
    loop = build_runner(unbroken[0], tmp_path).train_loop
    assert loop.guessed_position(epoch, iteration) == loop.position() | dict(steps=steps)
    with pytest.raises(RunError, match=r'iteration 7 after 1 epochs, and here .* has 3 steps'):
        loop.guessed_position(1, 7)
