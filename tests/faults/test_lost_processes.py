"""Kills, Ctrl-C and NaN in runs that are real processes."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from started import Command, started
from tiny_run import ROOT, build_runner, free_port, read, write_tiny_config

pytestmark = pytest.mark.faults

_SLOW = """
custom_imports = dict(imports=['mmpretrain_mldecoder', 'fault_parts'], allow_failed_imports=False)
train_dataloader['num_workers'] = 2
train_dataloader['persistent_workers'] = True
val_dataloader['num_workers'] = 2
test_dataloader = val_dataloader
train_pipeline.insert(1, dict(type='SlowStep', seconds=0.2))
test_pipeline.insert(1, dict(type='SlowStep', seconds=0.2))
train_cfg['max_epochs'] = param_scheduler['total_steps'] = 50
"""
_NAN = """
custom_imports = dict(imports=['mmpretrain_mldecoder', 'fault_parts'], allow_failed_imports=False)
train_dataloader['num_workers'] = 1
custom_hooks.append(dict(type='Spoil', steps=[2], rank=1))
"""
TRAIN, TEST = ROOT / 'tools' / 'train.py', ROOT / 'tools' / 'test.py'


@pytest.fixture
def slow(tmp_path) -> Path:
    return write_tiny_config(tmp_path, _SLOW)


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """An epoch of the same model."""
    config = write_tiny_config(tmp_path / 'trained')
    options = {'train_dataloader.num_workers': 0, 'train_cfg.max_epochs': 1}
    build_runner(config, tmp_path / 'trained' / 'run', **options).train()
    return tmp_path / 'trained' / 'run' / 'epoch_1.pth'


def _children(command: Command) -> list[psutil.Process]:
    return psutil.Process(command.process.pid).children()


CTRL_C, KILLED_WORKER = 'ctrl-c', 'killed worker'


def _end(command: Command, how: str) -> int:
    if how == CTRL_C:
        os.killpg(command.process.pid, signal.SIGINT)
    else:
        os.kill(_children(command)[0].pid, signal.SIGKILL)
    return command.end()


def _torchrun(*words: str | Path) -> list[str | Path]:
    launcher = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    return [*launcher, TRAIN, *words, '--launcher', 'pytorch']


def _all_whole(work_dir: Path) -> list[str]:
    """Open each checkpoint and return their names; nothing half-written lies there."""
    assert not [*work_dir.glob('.*.tmp'), *work_dir.glob('*.tmp')]
    for path in work_dir.glob('*.pth'):
        read(path)
    return sorted(path.name for path in work_dir.glob('*.pth'))


def test_killed_worker_ends_a_training(slow, tmp_path):
    work_dir = tmp_path / 'run'
    with started(tmp_path / 'log', TRAIN, slow, '--work-dir', work_dir) as command:
        command.wait_for_words('Epoch(train)')
        assert _end(command, KILLED_WORKER) == 1
    last = command.printed.splitlines()[-1]
    assert last.startswith('error: a worker process that loads the images is gone')
    assert 'memory ran out' in last and 'Traceback' not in command.printed
    _all_whole(work_dir)


@pytest.mark.parametrize(
    ('how', 'status', 'line'),
    [
        (KILLED_WORKER, 1, r'error: .* \(test_dataloader\.num_workers is 2\).*'),
        (CTRL_C, 130, 'interrupted: no result was written'),
    ],
)
def test_ended_test(slow, checkpoint, tmp_path, how, status, line):
    work_dir = tmp_path / 'run'
    with started(tmp_path / 'log', TEST, slow, checkpoint, '--work-dir', work_dir) as command:
        command.wait_for(lambda: len(_children(command)) == 2)
        assert _end(command, how) == status
    assert re.fullmatch(line, command.printed.splitlines()[-1])
    assert not list(work_dir.glob('test_*.json'))


def test_ctrl_c_in_a_training_that_then_goes_on(slow, tmp_path):
    work_dir = tmp_path / 'run'
    with started(tmp_path / 'log', TRAIN, slow, '--work-dir', work_dir) as command:
        command.wait_for_words('Epoch(train)  [2]')
        assert _end(command, CTRL_C) == 130
    assert command.printed.splitlines()[-1].startswith('interrupted: --resume continues')
    assert 'Traceback' not in command.printed
    assert 'epoch_1.pth' in _all_whole(work_dir)
    words = [TRAIN, slow, '--work-dir', work_dir, '--resume', '--cfg-options']
    with started(tmp_path / 'log2', *words, 'train_cfg.max_epochs=2') as command:
        assert command.process.wait(240) == 0, command.printed
    assert (work_dir / 'epoch_2.pth').is_file()


def test_ctrl_c_with_two_processes_leaves_none(slow, tmp_path):
    words = _torchrun(slow, '--work-dir', tmp_path / 'run')
    with started(tmp_path / 'log', *words) as command:
        command.wait_for_words('Epoch(train)  [2]')
        assert _end(command, CTRL_C) != 0
    assert 'epoch_1.pth' in _all_whole(tmp_path / 'run')


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / 'photos'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(60):
        image = rng.integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{number:02d}.jpg'), image)
    return folder


def test_ctrl_c_in_infer_goes_on(checkpoint, photos, tmp_path):
    out, config = tmp_path / 'out', tmp_path / 'trained' / 'tiny.py'
    words = [ROOT / 'tools' / 'infer.py', photos, config, checkpoint]
    words += ['--out-dir', out, '--batch-size', '1', '--backend', 'torch']
    with started(tmp_path / 'log', *words) as command:
        command.wait_for_words('03.jpg')
        assert _end(command, CTRL_C) == 130
    assert command.printed.splitlines()[-1] == 'interrupted: the same command resumes'
    with started(tmp_path / 'log2', *words) as command:
        assert command.process.wait(240) == 0, command.printed
    lines = (out / 'predictions.jsonl').read_text().splitlines()
    assert [Path(json.loads(line)['path']).name for line in lines] == [
        f'{number:02d}.jpg' for number in range(60)
    ]


@pytest.mark.parametrize(('how', 'status'), [(CTRL_C, 130), (KILLED_WORKER, 2)])
def test_interrupted_resize_goes_on(photos, tmp_path, how, status):
    out = tmp_path / 'out'
    words = [ROOT / 'tools' / 'dataset_tools' / 'resize.py', photos, out, '--size', '64']
    words += ['--workers', '2']
    with started(tmp_path / 'log', *words) as command:
        command.wait_for((out / '02.jpg').is_file)
        assert _end(command, how) == status
    assert ('one of 2 worker processes died' in command.printed) == (how == KILLED_WORKER)
    assert 'Traceback' not in command.printed
    for path in out.glob('[0-9]*.jpg'):
        assert cv2.imread(str(path)).shape == (64, 64, 3)
    with started(tmp_path / 'log2', *words) as command:
        assert command.process.wait(240) == 0, command.printed
    names = {path.name for path in out.iterdir()} - {'resized_copy.json'}
    assert names == {f'{number:02d}.jpg' for number in range(60)}


def test_nan_in_one_process_ends_both(tmp_path):
    config, work_dir = write_tiny_config(tmp_path, _NAN), tmp_path / 'run'
    with started(tmp_path / 'log', *_torchrun(config, '--work-dir', work_dir)) as command:
        assert command.process.wait(240) == 1
    error = 'error: loss is nan at iteration 3 (epoch 2) in process 1 of 2'
    assert command.printed.count(error) == 2  # each process says so
    (file,) = work_dir.glob('nonfinite_loss_*_iter_3.json')
    ranks = json.loads(file.read_text())['batches']
    assert [batch['rank'] for batch in ranks] == [0, 1]
    assert isinstance(ranks[0]['losses']['loss'], float) and ranks[1]['losses']['loss'] == 'nan'
    assert 'epoch_2.pth' not in _all_whole(work_dir)


def test_nan_weight_in_the_process_that_saves_ends_both(tmp_path):
    lines = _NAN.replace("Spoil', steps=[2], rank=1", "BreakWeight', step=3")
    config, work_dir = write_tiny_config(tmp_path, lines), tmp_path / 'run'
    with started(tmp_path / 'log', *_torchrun(config, '--work-dir', work_dir)) as command:
        command.wait_for_words('Saving checkpoint at 2 epochs')
        assert command.end() == 1
    error = 'is not finite after iteration 4, so no checkpoint is saved'
    assert len(re.findall(rf'error: .+ {error}', command.printed)) == 2  # each process says so
    assert _all_whole(work_dir) == ['best_coco_mAP_epoch_1.pth', 'epoch_1.pth']


def test_machines_that_do_not_share_the_work_folder(tmp_path, checkpoint):
    """Each of two processes is the first of its machine, and one finds nothing to resume from."""
    config = write_tiny_config(tmp_path, f"work_dir = '{tmp_path}/run{{{{$RANK:0}}}}'\n")
    (tmp_path / 'run0').mkdir()
    shutil.copy(checkpoint, tmp_path / 'run0')
    ranks = dict(WORLD_SIZE='2', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port())
    words = [TRAIN, config, '--resume', '--launcher', 'pytorch']
    with (
        started(tmp_path / 'log0', *words, RANK='0', **ranks) as one,
        started(tmp_path / 'log1', *words, RANK='1', **ranks) as other,
    ):
        assert [command.process.wait(240) for command in (one, other)] == [1, 1]
    error = 'error: the processes would resume from different checkpoints (0: epoch_1.pth, 1: none)'
    assert error in one.printed and error in other.printed
    assert not list((tmp_path / 'run1').glob('*.pth'))


def test_nan_in_one_process_is_left_out_by_both(tmp_path):
    config, work_dir = write_tiny_config(tmp_path, _NAN), tmp_path / 'run'
    words = _torchrun(config, '--work-dir', work_dir, '--cfg-options', 'optim_wrapper.max_skips=1')
    with started(tmp_path / 'log', *words) as command:
        assert command.process.wait(240) == 0, command.printed
    assert len(list(work_dir.glob('nonfinite_loss_*.json'))) == 1
    state = read(work_dir / 'epoch_3.pth')
    for part in ('state_dict', 'ema_state_dict'):
        assert all(v.isfinite().all() for v in state[part].values() if v.is_floating_point())


def test_two_tests_of_one_second_write_two_results(slow, checkpoint, tmp_path):
    work_dir = tmp_path / 'run'
    words = [TEST, slow, checkpoint, '--work-dir', work_dir]
    with started(tmp_path / 'log1', *words) as one, started(tmp_path / 'log2', *words) as other:
        for command in (one, other):
            assert command.process.wait(240) == 0, command.printed
    first, second = work_dir.glob('test_*.json')
    metrics = [json.loads(path.read_text())['metrics'] for path in (first, second)]
    assert metrics[0] == metrics[1]
