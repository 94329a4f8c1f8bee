"""SIGKILL while files are written and a full disk, in real processes."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import ROOT, WORKER, assert_same_training, read, write_tiny_config

pytestmark = pytest.mark.faults

TRAIN = ROOT / 'tools' / 'train.py'


def _run(*command, **options) -> subprocess.CompletedProcess:
    environment = dict(OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE', PYTHONWARNINGS='ignore')
    return subprocess.run(
        [str(word) for word in command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """A config and its work dir after 3 epochs in one go."""
    folder = tmp_path_factory.mktemp('unbroken')
    config = write_tiny_config(folder, WORKER)
    done = _run(sys.executable, TRAIN, config, '--work-dir', folder / 'run')
    assert done.returncode == 0, done.stderr
    return config, folder / 'run'


def _assert_ends_well(done: subprocess.CompletedProcess, work_dir: Path, reason: str) -> None:
    """One line, a status, complete files only."""
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1 and reason in lines[0]
    assert 'Traceback' not in done.stderr
    assert not list(work_dir.glob('.*.tmp'))
    for path in work_dir.glob('*.pth'):
        read(path)
    assert Path((work_dir / 'last_checkpoint').read_text()) in list(work_dir.glob('epoch_*.pth'))


def test_killed_at_each_kind_of_moment_and_resumed():
    # One run for each moment: in a step, a validation, a checkpoint, the best one, before its
    # record. The program compares with the unbroken run, bit by bit, and fails if they differ.
    program = ROOT / 'tests' / 'faults' / 'killed_training.py'
    done = _run(sys.executable, program, '--runs', '5', '--seed', '1')
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'MB' in done.stdout  # a file was cut off
    assert '5 of 5' in done.stdout


def test_write_fails_and_the_same_command_goes_on(unbroken, tmp_path):
    # A limit of the size of a file fails a write in its middle, as a full disk or a quota does.
    config, run = unbroken
    work_dir = tmp_path / 'run'
    command = [sys.executable, TRAIN, config, '--work-dir', work_dir, '--resume']
    work_dir.mkdir()
    shutil.copy(run / 'epoch_1.pth', work_dir)
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))
    size = (work_dir / 'epoch_1.pth').stat().st_size // 2

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    names = {path.name for path in work_dir.glob('*.pth')}
    _assert_ends_well(_run(*command, preexec_fn=limit), work_dir, 'epoch_2.pth cannot be written')
    assert {path.name for path in work_dir.glob('*.pth')} == names
    done = _run(*command)
    assert done.returncode == 0, done.stderr
    assert_same_training(work_dir / 'epoch_3.pth', run / 'epoch_3.pth')


def _in_a_small_file_system(folder: Path, *command) -> subprocess.CompletedProcess:
    """Run a command with ``folder`` on a file system of its own, and copy what it leaves there."""
    if _run('unshare', '-rm', 'mount', '-t', 'tmpfs', 'none', folder).returncode:
        pytest.skip('no file system can be mounted here')
    words = ' '.join(f"'{word}'" for word in command)
    script = (
        f"mount -t tmpfs -o size=2000k none '{folder}' && mkdir '{folder}/run' && "
        f"{words}; status=$?; cp -r '{folder}/run' '{folder}-left'; exit $status"
    )
    return _run('unshare', '-rm', 'sh', '-c', script)


def test_full_disk(unbroken, tmp_path):
    # There is room for the first epoch and the best one, and none to write the first one again.
    folder = tmp_path / 'small'
    folder.mkdir()
    command = [sys.executable, TRAIN, unbroken[0], '--work-dir', folder / 'run']
    done = _in_a_small_file_system(folder, *command)
    left = tmp_path / 'small-left'
    pointer = left / 'last_checkpoint'
    assert pointer.read_text() == str(folder / 'run' / 'epoch_1.pth')
    pointer.write_text(str(left / 'epoch_1.pth'))
    _assert_ends_well(done, left, 'epoch_1.pth cannot be written: No space left on device')
    assert {path.name for path in left.glob('*.pth')} == {
        'epoch_1.pth',
        'best_coco_mAP_epoch_1.pth',
    }
