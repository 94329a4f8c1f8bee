"""Run all steps on rendered images: data, training, test, predictions, figures (make demo).

The dataset, a finished training and a test result are reused; an interrupted training continues
from its newest checkpoint.
"""

import argparse
import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

from mmpretrain_mldecoder.analysis.demo import run_demo
from mmpretrain_mldecoder.errors import RunError

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = (
    ('--data', 'data/demo', 'folder of the dataset; rendered if it is not there'),
    ('--work-dir', 'work_dirs/demo', 'folder of everything else that is written'),
    ('--config', 'configs/demo/mldecoder_r18vd_half_demo.py', 'what is trained'),
)


def run_tool(name: str, *args: str | Path) -> None:
    """Run another tool, showing the command; if it fails, end here."""
    command = [sys.executable, os.path.relpath(ROOT / 'tools' / name), *map(str, args)]
    print(f'$ {shlex.join(["python", *command[1:]])}', flush=True)
    # Threads that wait must not keep a core busy: beside any other program on a machine of few
    # cores, that makes a step take ten times as long.
    environment = {'OMP_WAIT_POLICY': 'PASSIVE', **os.environ}
    status = subprocess.run(command, env=environment).returncode
    if status:
        sys.exit(
            f'tools/{name} ended with status {status}, for the reason above. The same command '
            'again continues with what is finished by now.'
        )


def main(argv: list[str] | None = None) -> None:
    """Run all steps and end with a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default, text in OPTIONS:
        default = Path(os.path.relpath(ROOT / default))
        parser.add_argument(name, type=Path, default=default, help=f'{text} (default: {default})')
    args = parser.parse_args(argv)
    note = partial(print, '\n==>', flush=True)  # before any output of another tool
    try:
        summary = run_demo(args.config, args.data, args.work_dir, run_tool, note)
    except RunError as error:
        sys.exit(str(error))
    note('done')
    for name, value in summary.items():
        print(f'{name:<16}  {value}')


if __name__ == '__main__':
    main()
