"""A training that a signal stops at a chosen moment, in this process."""

import os
import signal
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from tiny_run import assert_same_training, build_runner, read

from mmpretrain_mldecoder.checkpoints import find_resume_checkpoint
from mmpretrain_mldecoder.engine.runners.preemption import SIGNALS
from mmpretrain_mldecoder.errors import Preempted


class SignalAt(Hook):
    """Send this process a signal at a stage of a run, once ``is_time`` for it."""

    priority = 'HIGHEST'

    def __init__(self, stage, is_time, number):
        def send(runner, *args, **kwargs):
            if is_time(runner):
                os.kill(os.getpid(), number)

        setattr(self, stage, send)


def preempt(config, work_dir, stage, is_time, number=signal.SIGTERM, **options) -> Preempted:
    """Train until the signal, which must end it with status 75, and return the exception."""
    before = [signal.getsignal(one) for one in SIGNALS]
    runner = build_runner(config, work_dir, **options)
    runner.register_hook(SignalAt(stage, is_time, number))
    with pytest.raises(Preempted) as stopped:
        runner.train()
    assert stopped.value.code == 75
    assert [signal.getsignal(one) for one in SIGNALS] == before
    return stopped.value


def checkpoints(work_dir: Path) -> set[str]:
    """Return the names of the checkpoints in a folder."""
    return {path.name for path in work_dir.glob('*.pth')}


def check_resume_after_signal(
    config, run, work_dir, stage, iteration, saved, number=signal.SIGTERM
) -> Preempted:
    """Stop a training, resume it, and compare with the unbroken one in the folder ``run``."""
    stopped = preempt(config, work_dir, stage, lambda runner: runner.iter == iteration, number)
    assert stopped.all_together
    assert find_resume_checkpoint(work_dir) == str(work_dir / saved)
    assert saved.endswith(f'_{read(work_dir / saved)["meta"]["iter"]}.pth')
    if not (work_dir / f'iter_{iteration}.pth').exists():  # of the same number
        (work_dir / 'last_checkpoint').unlink()  # the numbers tell as well
        assert find_resume_checkpoint(work_dir) == str(work_dir / saved)

    options = {'train_dataloader.num_workers': 0}
    build_runner(config, work_dir, resume=True, **options).train()
    assert_same_run(work_dir, run)
    return stopped


def assert_same_run(work_dir: Path, run: Path) -> None:
    """See that a resumed training left what the unbroken one did: files, log and best score."""
    last = Path((run / 'last_checkpoint').read_text()).name
    assert_same_training(work_dir / last, run / last)
    assert checkpoints(work_dir) == checkpoints(run)
    found, expected = (read(p / last)['message_hub'] for p in (work_dir, run))
    for key in ('train/loss', 'train/lr', 'val/coco/mAP'):  # nor is a score counted twice
        values = [hub['log_scalars'][key]['values'].tolist() for hub in (found, expected)]
        assert values[0] == values[1]
    assert found['runtime_info']['best_score'] == expected['runtime_info']['best_score']
    best = [Path(hub['runtime_info']['best_ckpt']) for hub in (found, expected)]
    assert best[0].name == best[1].name and best[0].parent == work_dir
