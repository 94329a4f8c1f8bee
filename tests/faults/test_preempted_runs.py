"""SIGTERM and SIGUSR1 to real trainings, of one process and of two, and how they are resumed."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from started import started
from tiny_run import ROOT, assert_same_training, free_port, read, write_tiny_config

pytestmark = pytest.mark.faults

# 20 epochs of 3 steps, so that a signal comes in the middle; what each step sees is written down.
_LONGER = """
train_cfg.update(max_epochs=20)
train_dataloader['num_workers'] = 1
param_scheduler.update(total_steps=20)
custom_imports.update(imports=['mmpretrain_mldecoder', 'fault_parts'])
custom_hooks.append(dict(type='SeenImages'))
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_tiny_config(tmp_path_factory.mktemp('preemption'), _LONGER)


def _started(config, work_dir, processes, *options):
    """Start a training, or resume it, with 4 images a step."""
    words = [ROOT / 'tools' / 'train.py', config]
    if processes > 1:
        words = ['bash', ROOT / 'tools' / 'dist_train.sh', config, processes]
    batch_size = f'train_dataloader.batch_size={4 // processes}'
    words += ['--work-dir', work_dir, *options, '--cfg-options', batch_size]
    log, environment = work_dir.with_suffix('.log'), dict(SEEN_IMAGES=f'{work_dir}.jsonl')
    return started(log, *words, PORT=free_port(), **environment)


def _stop_in_an_epoch(config, work_dir, processes, number, to_all=False) -> Path:
    """Send a signal after the first step of epoch 3, and return the checkpoint that it leaves."""
    with _started(config, work_dir, processes) as command:
        command.wait_for_words('[3][1/3]')
        (os.killpg if to_all else os.kill)(command.process.pid, number)
        assert command.end() == 75, command.printed
    assert command.printed.count('the same command with --resume continues') == 1
    assert 'Traceback' not in command.printed
    (path,) = work_dir.glob('epoch_*_iter_*.pth')
    assert re.fullmatch(r'epoch_2_iter_[78]', path.stem)
    assert (work_dir / 'last_checkpoint').read_text() == str(path)
    return path


def _train_to_the_end(config, work_dir, processes, *options) -> None:
    with _started(config, work_dir, processes, *options) as command:
        assert command.process.wait(120) == 0, command.printed


@pytest.fixture(scope='module')
def unbroken(config, tmp_path_factory):
    """Work dirs of unbroken trainings by 1 and 2 processes."""
    folder = tmp_path_factory.mktemp('unbroken')
    for processes in (1, 2):
        _train_to_the_end(config, folder / str(processes), processes)
    return folder


@pytest.mark.parametrize(
    ('processes', 'number', 'to_all'),
    [
        (1, signal.SIGTERM, False),
        (1, signal.SIGUSR1, True),  # to the workers too
        (2, signal.SIGTERM, False),  # to the launcher
        (2, signal.SIGUSR1, False),
    ],
)
def test_ends_with_75_and_goes_on(config, unbroken, tmp_path, processes, number, to_all):
    _stop_in_an_epoch(config, tmp_path / 'run', processes, number, to_all)
    _train_to_the_end(config, tmp_path / 'run', processes, '--resume')
    last = Path('epoch_20.pth')
    assert_same_training(tmp_path / 'run' / last, unbroken / str(processes) / last)
    assert not list((tmp_path / 'run').glob('epoch_*_iter_*.pth'))


@pytest.mark.parametrize(('before', 'after'), [(1, 2), (2, 1)])
def test_other_number_of_processes(config, unbroken, tmp_path, before, after):
    run = tmp_path / 'run'
    done = read(_stop_in_an_epoch(config, run, before, signal.SIGTERM))['meta']['iter']
    _train_to_the_end(config, run, after, '--resume')

    found, expected = {}, {}
    for seen, path in ((found, f'{run}.jsonl'), (expected, unbroken / '1.jsonl')):
        for line in Path(path).read_text().splitlines():
            record = json.loads(line)
            names, rates = seen.setdefault((record['epoch'], record['iter']), ([], set()))
            names.extend(record['names'])
            rates.add(record['rate'])
    assert len(expected) == 60
    # every step has the images and the learning rate of the unbroken run, no image twice
    assert {k: (sorted(n), r) for k, (n, r) in found.items()} == {
        k: (sorted(n), r) for k, (n, r) in expected.items()
    }
    meta = read(run / 'epoch_20.pth')['meta']
    assert (meta['epoch'], meta['iter'], meta['loop']['processes']) == (20, 60, after)
    assert done in (7, 8)
