from pathlib import Path

import pytest
from mmengine.hooks import Hook
from tiny_iterations import ITERATIONS
from tiny_run import assert_same_training, build_runner, read, write_tiny_config

from mmpretrain_mldecoder.errors import RunError

IN_THIS_PROCESS = {'train_dataloader.num_workers': 0}


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """A config and its work folder after an unbroken training."""
    folder = tmp_path_factory.mktemp('loop')
    config = write_tiny_config(folder, ITERATIONS)
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'


class _Stop(Exception):
    """What a run is stopped with, instead of SIGKILL."""


class _StopAt(Hook):
    """Stop a run at a stage of an iteration."""

    priority = 'HIGHEST'

    def __init__(self, stage, iteration):
        def stop(runner, *args, **kwargs):
            if runner.iter == iteration:
                raise _Stop

        setattr(self, stage, stop)


class _Seen(Hook):
    """Keep the names of the images of each step."""

    def __init__(self):
        self.names = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        names = [Path(sample.img_path).name for sample in data_batch['data_samples']]
        self.names[runner.iter] = names


def _hub(work_dir) -> dict:
    return read(work_dir / 'iter_8.pth')['message_hub']


def test_trains_as_the_host_s_loop(unbroken, tmp_path):
    config, run = unbroken
    host = config.with_name('host.py')
    host.write_text(
        config.read_text().replace('by_epoch=False, max', "type='IterBasedTrainLoop', max")
    )
    # of the same weights: before it draws its own, the host's loop has drawn a seed for its workers
    options = IN_THIS_PROCESS | dict(load_from=str(run / 'iter_2.pth'))
    for path, module in ((config, 'mmpretrain_mldecoder.'), (host, 'mmengine.')):
        runner = build_runner(path, tmp_path / path.stem, **options)
        runner.train()
        assert type(runner.train_loop).__module__.startswith(module)
    assert_same_training(tmp_path / 'tiny' / 'iter_8.pth', tmp_path / 'host' / 'iter_8.pth')


@pytest.mark.parametrize(
    ('stage', 'iteration', 'is_missing'),
    [
        ('before_val_epoch', 4, True),  # of a validation
        ('before_val', 8, True),  # of the last one
        ('before_train_iter', 7, False),  # 6 iterations are saved: two passes over the data
        ('before_train_iter', 5, False),  # the validation of 4 is part of the checkpoint
    ],
)
def test_resumed_equals_unbroken(unbroken, tmp_path, stage, iteration, is_missing):
    config, run = unbroken
    runner = build_runner(config, tmp_path)
    runner.register_hook(_StopAt(stage, iteration))
    with pytest.raises(_Stop):
        runner.train()
    build_runner(config, tmp_path, resume=True).train()
    assert_same_training(tmp_path / 'iter_8.pth', run / 'iter_8.pth')
    assert {p.name for p in tmp_path.glob('*.pth')} == {p.name for p in run.glob('*.pth')}
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert (f'The validation after {iteration} iterations is missing' in log) == is_missing
    found, expected = _hub(tmp_path), _hub(run)
    for key in ('train/loss', 'val/coco/mAP'):  # nor is a score counted twice
        values = [hub['log_scalars'][key]['values'].tolist() for hub in (found, expected)]
        assert values[0] == values[1]
    assert found['runtime_info']['best_score'] == expected['runtime_info']['best_score']


@pytest.mark.parametrize('sampler', ['DefaultSampler', 'InfiniteSampler', 'SeededSampler'])
def test_resumed_sees_the_images_that_are_left(unbroken, tmp_path, sampler):
    config, _ = unbroken
    options = {'train_dataloader.sampler.type': sampler, **IN_THIS_PROCESS}
    seen = []
    for resumed in ({}, dict(resume=True, load_from=str(tmp_path / 'iter_4.pth'))):
        runner = build_runner(config, tmp_path, **options, **resumed)
        runner.register_hook(_Seen())
        runner.train()
        (hook,) = (hook for hook in runner.hooks if isinstance(hook, _Seen))
        seen.append(hook.names)
    assert list(seen[0]) == list(range(8)) and list(seen[1]) == [4, 5, 6, 7]
    assert all(names == seen[0][step] for step, names in seen[1].items())
    assert seen[0][0] != seen[0][3] or sampler == 'InfiniteSampler'  # shuffled anew


def test_skips_images_without_reading_them(unbroken, tmp_path):
    config, run = unbroken
    runner = build_runner(
        config, tmp_path, resume=True, load_from=str(run / 'iter_4.pth'), **IN_THIS_PROCESS
    )
    read_images, dataset = [], runner.train_dataloader.dataset
    prepare = dataset.prepare_data
    dataset.prepare_data = lambda index: read_images.append(index) or prepare(index)
    forget = Hook()
    forget.before_train_epoch = lambda runner: read_images.clear()  # a check at the start reads one
    runner.register_hook(forget)
    runner.train()
    assert len(read_images) == 4 * 4  # steps x batch size


def test_workers_wait_for_the_first_step(unbroken, tmp_path):
    runner = build_runner(unbroken[0], tmp_path)
    loop = runner.build_train_loop(runner.cfg.train_cfg)
    assert type(loop).__name__ == 'ResumableIterLoop'
    assert loop.dataloader._iterator is None
    with pytest.raises(StopIteration):
        next(iter(loop.dataloader_iterator))


def test_other_way_of_counting_is_refused(unbroken, tmp_path):
    config, run = unbroken
    options = {'train_cfg': dict(_delete_=True, by_epoch=True, max_epochs=3)}
    options['param_scheduler.total_steps'] = 9
    runner = build_runner(
        config, tmp_path, resume=True, load_from=str(run / 'iter_4.pth'), **options
    )
    with pytest.raises(RunError, match=r'counts iterations, this one counts epochs \(train_cfg'):
        runner.train()
