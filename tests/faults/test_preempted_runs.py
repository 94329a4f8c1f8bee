"""SIGTERM and SIGUSR1 to real trainings, of one process and of two, and how they are resumed."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tiny_run import ROOT, assert_same_training, free_port, read, write_tiny_config

pytestmark = pytest.mark.faults

# 20 epochs of 3 steps, so that a signal comes in the middle; what each step sees is written down.
_LONGER = """
train_cfg.update(max_epochs=20)
param_scheduler.update(total_steps=20)
custom_imports.update(imports=['mmpretrain_mldecoder', 'seen_images'])
custom_hooks.append(dict(type='SeenImagesHook'))
"""
_SEEN_IMAGES = """
import json
import os
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

@HOOKS.register_module()
class SeenImagesHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        names = [os.path.basename(sample.img_path) for sample in data_batch['data_samples']]
        rate = runner.optim_wrapper.get_lr()['lr'][0]
        record = dict(epoch=runner.epoch, iter=runner.iter, names=names, rate=rate)
        with open(os.environ['SEEN_IMAGES'], 'a') as file:
            file.write(json.dumps(record) + chr(10))
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('preemption')
    (folder / 'seen_images.py').write_text(_SEEN_IMAGES)
    return write_tiny_config(folder, _LONGER)


def _start(config, work_dir, processes, *options) -> subprocess.Popen:
    options = ['--work-dir', work_dir, *options]
    options += ['--cfg-options', f'train_dataloader.batch_size={4 // processes}']
    if processes == 1:
        command = [sys.executable, ROOT / 'tools' / 'train.py', config, *options]
    else:
        command = ['bash', ROOT / 'tools' / 'dist_train.sh', config, processes, *options]
    environment = dict(
        PYTHON=sys.executable,
        PYTHONPATH=os.pathsep.join([str(config.parent), os.environ.get('PYTHONPATH', '')]),
        PYTHONWARNINGS='ignore',
        OMP_NUM_THREADS='1',
        OMP_WAIT_POLICY='PASSIVE',
        PORT=free_port(),
        SEEN_IMAGES=str(work_dir) + '.jsonl',
    )
    return subprocess.Popen(
        [str(part) for part in command],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _stop_in_an_epoch(process: subprocess.Popen, number: int, to_all: bool) -> str:
    """Send a signal after the first step of epoch 3, and return what was printed then."""
    try:
        printed = ''
        for line in process.stdout:
            printed += line
            if '[3][1/3]' in line:
                break
        else:
            raise AssertionError(printed)
        (os.killpg if to_all else os.kill)(process.pid, number)
        return process.communicate(timeout=60)[0]
    finally:
        process.kill()


def _end(process: subprocess.Popen) -> str:
    try:
        printed = process.communicate(timeout=120)[0]
    finally:
        process.kill()
    assert process.returncode == 0, printed
    return printed


def _processes_of(work_dir: Path) -> list[psutil.Process]:
    lines = {p: ' '.join(p.info['cmdline'] or ()) for p in psutil.process_iter(['cmdline'])}
    return [process for process, line in lines.items() if str(work_dir) in line]


def _mid_epoch_checkpoint(work_dir: Path) -> Path:
    (path,) = work_dir.glob('epoch_*_iter_*.pth')
    assert re.fullmatch(r'epoch_2_iter_[78]', path.stem)
    assert (work_dir / 'last_checkpoint').read_text() == str(path)
    return path


@pytest.fixture(scope='module')
def unbroken(config, tmp_path_factory):
    """Work dirs of unbroken trainings by 1 and 2 processes."""
    folder = tmp_path_factory.mktemp('unbroken')
    for processes in (1, 2):
        _end(_start(config, folder / str(processes), processes))
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
    process = _start(config, tmp_path / 'run', processes)
    printed = _stop_in_an_epoch(process, number, to_all)
    assert process.returncode == 75, printed
    assert printed.count('the same command with --resume continues') == 1
    assert 'Traceback' not in printed
    assert not _processes_of(tmp_path)
    _mid_epoch_checkpoint(tmp_path / 'run')

    _end(_start(config, tmp_path / 'run', processes, '--resume'))
    last = Path('epoch_20.pth')
    assert_same_training(tmp_path / 'run' / last, unbroken / str(processes) / last)
    assert not list((tmp_path / 'run').glob('epoch_*_iter_*.pth'))


@pytest.mark.parametrize(('before', 'after'), [(1, 2), (2, 1)])
def test_other_number_of_processes(config, unbroken, tmp_path, before, after):
    run = tmp_path / 'run'
    _stop_in_an_epoch(_start(config, run, before), signal.SIGTERM, False)
    done = read(_mid_epoch_checkpoint(run))['meta']['iter']
    _end(_start(config, run, after, '--resume'))

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
