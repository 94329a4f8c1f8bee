"""Kill trainings at random moments, resume them, and compare with the unbroken one.

python tests/faults/killed_training.py --runs 30 [--by-iteration] [--seed 0]

Each run trains the demo's model, narrower, on a small demo dataset with two workers; is ended by
SIGKILL; and is resumed by the same command. At its end everything that a training resumes from must
equal the unbroken run's, bit by bit. Files show when to kill and what was hit; the seed chooses
where, and how long to wait then. Ends with status 1 if anything differs.

The processes are forked from this one, which has imported the packages, so they start fast.
"""

import argparse
import faulthandler
import multiprocessing
import os
import random
import re
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.fileio import LocalBackend

from mmpretrain_mldecoder.datasets.demo_scenes import make_demo_dataset

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/demo/mldecoder_r18vd_half_demo.py'
EPOCHS, STEPS = 4, 6  # of an epoch
AIMS = ('step', 'validation', 'checkpoint', 'best', 'record of the best')
PARTS = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'message_hub', 'meta')
MINUTES = 5  # after which a training counts as hanging
ITERATIONS = """
train_cfg = dict(_delete_=True, by_epoch=False, max_iters={all_steps}, val_interval={steps})
param_scheduler = dict(_delete_=True, type='PlainOneCycleLR', by_epoch=False, pct_start=0.2,
                       total_steps={all_steps})
default_hooks = dict(checkpoint=dict(by_epoch=False, interval={steps}))
log_processor = dict(by_epoch=False)
"""


@dataclass(frozen=True)
class Counted:
    """What a training counts and names its checkpoints by: ``'epoch'`` or ``'iter'``."""

    unit: str

    def last(self, epoch: int) -> str:
        """Name of the checkpoint after so many epochs."""
        return f'{self.unit}_{epoch if self.unit == "epoch" else epoch * STEPS}.pth'

    def best(self, epoch: int) -> str:
        """Name of the same as the best one."""
        return f'best_coco_mAP_{self.last(epoch)}'

    def epochs_with_a_new_best(self, work_dir: Path) -> list[int]:
        """Epochs in which a finished training has found a new best one."""
        printed = (work_dir / 'printed.txt').read_text()
        names = set(re.findall(r'is saved to (best_coco_mAP_\w+\.pth)', printed))
        return [epoch for epoch in range(1, EPOCHS + 1) if self.best(epoch) in names]

    def write_config(self, path: Path) -> None:
        text = f'train_cfg = dict(max_epochs={EPOCHS})\n'
        if self.unit == 'iter':
            text = ITERATIONS.format(steps=STEPS, all_steps=EPOCHS * STEPS)
        path.write_text(f'_base_ = {str(CONFIG)!r}\n{text}')


@dataclass(frozen=True)
class KilledRun:
    """What became of one run."""

    aim: str  # the moment that was aimed at
    epoch: int
    hit: str  # what the files tell about the moment of the kill
    resumed: int  # steps in the checkpoint that it was resumed from, 0 without one
    lost: int  # steps that were done twice
    differences: list[str]  # from the unbroken run


def command(data: Path, work_dir: Path) -> list[str]:
    """Arguments of tools/train.py, for the start and each resume."""
    options = dict(
        {f'{split}_dataloader.dataset.data_root': data for split in ('train', 'val', 'test')},
        **{
            'train_dataloader.batch_size': 10,
            'val_dataloader.batch_size': 5,
            'model.backbone.stem_channels': 16,
            'model.backbone.base_channels': 16,
            'model.head.in_channels': 128,
            'model.head.embed_dims': 128,
            'model.head.feedforward_channels': 256,
            'default_hooks.logger.interval': 1,
            'default_hooks.checkpoint.max_keep_ckpts': 1,
            'custom_hooks.1.decay': 0.8,
        },
    )
    options = [f'{key}={value}' for key, value in options.items()]
    config = str(data.parent / 'config.py')
    return [config, '--work-dir', str(work_dir), '--resume', '--cfg-options', *options]


def _train(arguments: list[str], log: Path, is_slow: bool) -> None:
    """Train in a process of its own; what it prints goes to a file."""
    if is_slow:
        LocalBackend.put = _put_slowly
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.setsid()
    faulthandler.enable()
    torch.set_num_threads(1)
    runpy.run_path(str(ROOT / 'tools/train.py'))['main'](arguments)


def _put_slowly(self, content: bytes, path: str) -> None:
    """Write a file with a pause in its middle, in which a busy machine can still kill."""
    with open(path, 'wb') as file:
        file.write(content[: len(content) // 2])
        file.flush()
        time.sleep(0.5)
        file.write(content[len(content) // 2 :])


def start(data: Path, work_dir: Path, is_slow: bool = False) -> multiprocessing.Process:
    """Start a training, or resume it; one that is to be killed writes its files slowly."""
    work_dir.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context('fork')
    arguments = (command(data, work_dir), work_dir / 'printed.txt', is_slow)
    process = context.Process(target=_train, args=arguments)
    process.start()
    return process


def finish(process: multiprocessing.Process, work_dir: Path) -> None:
    """Wait for the end of a training, and raise if it failed."""
    process.join(60 * MINUTES)
    if process.exitcode != 0:
        if process.is_alive():
            os.kill(process.pid, signal.SIGABRT)  # it prints where it hangs
            process.join()
        text = (work_dir / 'printed.txt').read_text()
        raise RuntimeError(f'{work_dir} ended with {process.exitcode}:\n{text[-3000:]}')


def steps_done(work_dir: Path) -> int:
    """Steps in the log of the last start."""
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return logs[-1].read_bytes().count(b'"loss"') if logs else 0


def files(work_dir: Path) -> set[str]:
    """Names of the checkpoints, without temporary files."""
    return {path.name for path in work_dir.glob('[!.]*.pth')}


def sign_of(
    aim: str, counted: Counted, epoch: int, step: int, work_dir: Path
) -> Callable[[], bool]:
    """What tells from the files that the moment has come."""
    name = counted.best(epoch) if 'best' in aim else counted.last(epoch)
    if aim == 'step':
        return lambda: steps_done(work_dir) >= (epoch - 1) * STEPS + step
    if aim in ('validation', 'record of the best'):
        return lambda: name in files(work_dir)
    return lambda: any(map(_size, work_dir.glob(f'.{name}.*.tmp')))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # renamed by now
        return 0


def what_was_hit(work_dir: Path, done: int) -> str:
    """Tell from the files in which moment a run was killed."""
    for path in work_dir.glob('.*.tmp'):
        name = path.name[1 : -len('.0123456789abcdef.tmp')]
        return f'{name} at {path.stat().st_size / 1e6:.1f} MB'
    return f'after step {done}, with {", ".join(sorted(files(work_dir))) or "no checkpoint"}'


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def differences(one, other, where: str) -> list[str]:
    """Names of what is not equal, bit by bit, but for times and folders."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        is_same = one.dtype == other.dtype and torch.equal(one, other)
        return [] if is_same else [where]
    if isinstance(one, dict) and isinstance(other, dict):
        passed = {'time', 'data_time', 'experiment_name', 'cfg', 'eta', 'mmengine_version'}
        if where.endswith('runtime_info'):
            # of the last start, in a file that is written again after a validation
            passed |= {'epoch', 'iter'}
        keys = sorted(one.keys() | other.keys(), key=str)
        kept = [key for key in keys if str(key).rpartition('/')[2] not in passed]
        pairs = ((f'{where}.{key}', one.get(key, ...), other.get(key, ...)) for key in kept)
        return [name for key, a, b in pairs for name in differences(a, b, key)]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f'{where}[{i}]')]
    if isinstance(one, str) and isinstance(other, str):
        one, other = one.rpartition('/')[2], other.rpartition('/')[2]
    return [] if one == other else [where]


def compare(counted: Counted, work_dir: Path, unbroken: Path) -> list[str]:
    """Names of what differs between two finished trainings: files, records, values."""
    found = []
    names, expected = ({p.name for p in w.iterdir() if p.is_file()} for w in (work_dir, unbroken))
    if names != expected:
        found.append(f'files {sorted(names ^ expected)}')
    if Path((work_dir / 'last_checkpoint').read_text()).name != counted.last(EPOCHS):
        found.append('last_checkpoint')
    for name in sorted(files(work_dir) & files(unbroken)):
        one, other = read(work_dir / name), read(unbroken / name)
        for part in PARTS:
            if part in one or part in other:
                found += differences(one.get(part), other.get(part), f'{name}: {part}')
    return found


def kill_one(
    aim: str, counted: Counted, rng: random.Random, data: Path, work_dir: Path, unbroken: Path
) -> KilledRun:
    """Kill one training, resume it, and compare it with the unbroken one."""
    best_epochs = counted.epochs_with_a_new_best(unbroken)
    epoch = rng.choice(best_epochs if 'best' in aim else range(1, EPOCHS + 1))
    step, wait = rng.randrange(STEPS), rng.random()
    # Seconds: about a step, a validation, the writing of a file.
    wait *= dict(step=0.2, validation=1.0, checkpoint=0.05, best=0.03).get(aim, 0)
    process = start(data, work_dir, is_slow=True)
    has_come, end = sign_of(aim, counted, epoch, step, work_dir), time.monotonic() + 60 * MINUTES
    while not has_come() and process.is_alive() and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = steps_done(work_dir)
    hit = what_was_hit(work_dir, done) if process.exitcode else 'nothing: it had ended'
    finish(start(data, work_dir), work_dir)
    resumed = re.findall(r'resumed epoch: \d+, iter: (\d+)', (work_dir / 'printed.txt').read_text())
    resumed = int(resumed[-1]) if resumed else 0
    found = compare(counted, work_dir, unbroken)
    if done - resumed > STEPS:
        found.append(f'{done - resumed} steps lost')
    return KilledRun(aim, epoch, hit, resumed, done - resumed, found)


def kill_many(number: int, seed: int, counted: Counted, folder: Path) -> list[KilledRun]:
    """Train once unbroken, then kill and resume ``number`` trainings; print as they end."""
    data, unbroken = folder / 'data', folder / 'unbroken'
    make_demo_dataset(data, num_train=10 * STEPS, num_val=30)
    counted.write_config(folder / 'config.py')
    finish(start(data, unbroken), unbroken)
    rng, runs = random.Random(seed), []
    for i in range(number):
        work_dir = folder / f'run_{i}'
        run = kill_one(AIMS[i % len(AIMS)], counted, rng, data, work_dir, unbroken)
        runs.append(run)
        said = '; '.join(run.differences[:3]) or 'equal'
        print(f'{i + 1:3d} {run.aim:18s} epoch {run.epoch}: {run.hit}, {said}', flush=True)
        if not run.differences:
            shutil.rmtree(work_dir)
    return runs


def print_table(runs: list[KilledRun]) -> None:
    print(f'{"aimed at":18s} files cut off, most steps lost, equal to the unbroken')
    for aim in (*AIMS, 'all'):
        rows = [run for run in runs if aim in (run.aim, 'all')]
        if rows:
            cut = sum(' MB' in run.hit for run in rows)
            equal = sum(not run.differences for run in rows)
            print(f'{aim:18s} {cut}, {max(run.lost for run in rows)}, {equal} of {len(rows)}')


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=30, help='trainings to kill')
    parser.add_argument(
        '--by-iteration',
        dest='counted',
        action='store_const',
        const=Counted('iter'),
        default=Counted('epoch'),
        help='trainings that count iterations, with the same steps',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    args = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix='killed_training_'))
    runs = kill_many(args.runs, args.seed, args.counted, folder)
    print_table(runs)
    if any(run.differences for run in runs):
        sys.exit(f'error: some runs differ from the unbroken one; they are kept in {folder}')
    shutil.rmtree(folder)


if __name__ == '__main__':
    main()
