"""Train, kill, resume, test, export and predict in a loop, and watch what grows.

python tests/faults/soak.py --minutes 30 --out work_dirs/soak

Each round trains the demo's model for two short epochs, is killed at a moment that the seed
chooses, is resumed to the end, tested, exported and used for predictions, each by the command of a
user. Two programs live as long as the soak: one training, and one process that predicts and exports
over and over. Of every command the peaks of its process tree are kept, and after every round what
is left: processes, temporary files, shared memory. The last quarter of the rounds is then compared
with the first; a round or two at the start, in which caches fill, are left out.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from mmpretrain_mldecoder.datasets.demo_scenes import make_demo_dataset

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/demo/mldecoder_r18vd_half_demo.py'
RESIDENT = Path(__file__).with_name('soak_resident.py')
SECONDS_BETWEEN_LOOKS = 1.0  # memory_full_info reads smaps, which costs processor time
WARM_UP_ROUNDS = 2
TEMPORARY, KILLED = 'tmp', 'tmp_of_killed'  # who is killed cannot tidy up
MARK = 'MLDECODER_SOAK'  # inherited by every process that the soak starts, however deep


class Usage:
    """Peaks of a process and its children: megabytes, open files, processes."""

    def __init__(self) -> None:
        self.megabytes = self.files = self.processes = 0

    def look(self, process: psutil.Process) -> None:
        """Look once; what ends meanwhile is not counted."""
        megabytes = files = count = 0
        tree = [process]
        with suppress(psutil.Error):
            tree += process.children(recursive=True)
        for member in tree:
            with suppress(psutil.Error):
                # unique: what workers share with the process that forked them counts once, there
                memory = member.memory_full_info()
                megabytes += (memory.rss if member is process else memory.uss) / 2**20
                files += member.num_fds()
                count += 1
        self.megabytes = max(self.megabytes, megabytes)
        self.files = max(self.files, files)
        self.processes = max(self.processes, count)


def start(command: list, environment: dict, log: Path) -> psutil.Popen:
    """Start a command of the soak in a session of its own."""
    with open(log, 'ab') as file:
        return psutil.Popen(
            [sys.executable, *map(str, command)],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def watch(process: psutil.Popen, seconds: float | None = None) -> Usage:
    """Look at a process until it ends, or for so many seconds."""
    usage, end = Usage(), time.monotonic() + (seconds or 900)
    while process.poll() is None and time.monotonic() < end:
        usage.look(process)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if seconds is None and process.poll() is None:
        raise RuntimeError(f'{process.cmdline()} has not ended in 15 minutes')
    return usage


def left_over(companions: list[psutil.Popen]) -> list[psutil.Process]:
    """Return the soak's processes that are neither itself nor its companions nor of these."""
    known = {os.getpid()}
    for companion in companions:
        known |= {companion.pid, *(child.pid for child in companion.children(recursive=True))}
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == str(os.getpid()) and process.pid not in known:
                left.append(process)
    return left


def write_config(out: Path) -> Path:
    """Write the demo's config for a smaller dataset, which is rendered too."""
    data, config = out / 'data', out / 'config.py'
    make_demo_dataset(data, num_train=600, num_val=100)
    loader = f'_dataloader = dict(dataset=dict(data_root={str(data)!r}))\n'
    loaders = ''.join(f'{split}{loader}' for split in ('train', 'val', 'test'))
    config.write_text(f'_base_ = {str(CONFIG)!r}\n{loaders}')
    return config


def start_companions(out: Path, environment: dict) -> dict[str, psutil.Popen]:
    """Start the two programs that live as long as the soak."""
    config = write_config(out)
    train = ['tools/train.py', config, '--cfg-options']
    first = [*train, 'train_cfg.max_epochs=1', '--work-dir', out / 'first']
    if start(first, environment, out / 'first.log').wait() != 0:
        raise RuntimeError(f'the first training has failed, see {out}/first.log')
    long_training = [
        *(*train, 'train_cfg.max_epochs=100000', 'train_dataloader.dataset.indices=200'),
        *('default_hooks.logger.interval=1000000', '--work-dir', out / 'long'),
    ]
    resident = [RESIDENT, config, out / 'first/epoch_1.pth', out / 'data/val2017']
    companions = {
        'training': start(long_training, environment, out / 'long.log'),
        'predictor': start(resident, environment, out / 'resident.log'),
    }
    for companion in companions.values():
        companion.nice(10)  # the rounds first; children inherit it
    return companions


def run_round(number: int, out: Path, rng: random.Random, environment: dict) -> dict[str, Usage]:
    """Run all commands once, and return the peaks of each command."""
    run, log, config = out / 'run', out / 'commands.log', out / 'config.py'
    shutil.rmtree(run, ignore_errors=True)
    train = [
        *('tools/train.py', config, '--work-dir', run, '--resume', '--cfg-options'),
        *('train_cfg.max_epochs=2', f'randomness.seed={number}'),
    ]
    killed = start(train, environment | dict(TMPDIR=str(out / KILLED)), log)
    usages = dict(killed=watch(killed, seconds=rng.uniform(5, 40)))
    if killed.poll() is None:
        os.killpg(killed.pid, 9)
    killed.wait()
    checkpoint = run / 'epoch_2.pth'
    commands = dict(
        resume=train,
        test=[
            *('tools/test.py', config, checkpoint, '--work-dir', run / 'test'),
            *('--out', run / 'scores.pkl'),
        ],
        export=['tools/export_onnx.py', config, checkpoint, run / 'model.onnx'],
        infer=[
            *('tools/infer.py', out / 'data/val2017', config, checkpoint),
            *('--out-dir', run / 'labels'),
        ],
    )
    for name, command in commands.items():
        process = start(command, environment, log)
        usages[name] = watch(process)
        if process.wait() != 0:
            raise RuntimeError(f'round {number}: {name} ended with {process.returncode}, see {log}')
    return usages


def soak(minutes: float, out: Path, seed: int) -> list[dict]:
    """Go round until the time is over, and return one row of figures a round."""
    out = out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    for folder in (TEMPORARY, KILLED):
        (out / folder).mkdir(parents=True)
    environment = {
        **os.environ,
        MARK: str(os.getpid()),
        'TMPDIR': str(out / TEMPORARY),
        'OMP_NUM_THREADS': '1',
        'OMP_WAIT_POLICY': 'PASSIVE',
    }
    shared = Path('/dev/shm')
    shared_before = set(shared.iterdir())
    rng, rows = random.Random(seed), []
    try:
        companions = start_companions(out, environment)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            usages = run_round(len(rows) + 1, out, rng, environment)
            time.sleep(2)
            row = {
                f'{name} {what}': value
                for name, usage in usages.items()
                for what, value in vars(usage).items()
            }
            for name, companion in companions.items():
                usage = watch(companion, seconds=3)
                if companion.poll() is not None:
                    raise RuntimeError(f'the long {name} has ended, see {out}')
                row |= {f'long {name} {what}': value for what, value in vars(usage).items()}
            row['left processes'] = len(left_over(list(companions.values())))
            row['left temporary files'] = sum(1 for _ in (out / TEMPORARY).rglob('*'))
            row['left temporary files of killed'] = sum(1 for _ in (out / KILLED).rglob('*'))
            row['left in shared memory'] = len(set(shared.iterdir()) - shared_before)
            rows.append(row)
            print(f'round {len(rows)}:', json.dumps(row, default=round), flush=True)
    finally:
        for process in left_over([]):  # the companions, and a command that was running
            process.kill()
    return rows


def summary(rows: list[dict]) -> list[tuple[str, float, float, float]]:
    """Return for each figure its mean in the first and in the last quarter, and the difference."""
    rows = rows[WARM_UP_ROUNDS:]
    quarter = max(1, len(rows) // 4)
    table = []
    for name in rows[0]:
        first = sum(row[name] for row in rows[:quarter]) / quarter
        last = sum(row[name] for row in rows[-quarter:]) / quarter
        table.append((name, first, last, last - first))
    return table


def main() -> None:
    """Soak, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/soak'))
    parser.add_argument('--seed', type=int, default=0, help='chooses the moments of the kills')
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the companions are ended
    rows = soak(args.minutes, args.out, args.seed)
    if len(rows) <= WARM_UP_ROUNDS:
        parser.exit(1, f'{len(rows)} rounds are too few to compare: take more --minutes\n')
    print(f'{len(rows)} rounds: first and last quarter, growth')
    for name, *figures in summary(rows):
        print(f'{name:35s}', *(f'{figure:12,.1f}' for figure in figures))


if __name__ == '__main__':
    main()
