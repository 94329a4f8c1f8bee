"""Runs scripts in the peers' interpreter, as Paddle never shares a process with torch."""

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def paddle_python() -> Path:
    """Return ``$PADDLE_PYTHON``, by default the one that ``make test-peers`` installs."""
    default = FOLDER.parents[1] / '.venv-peers' / 'bin' / 'python'
    return Path(os.environ.get('PADDLE_PYTHON', default))


def run_paddle(script: str, *arguments: object) -> None:
    """Run a script of this folder there; its output is in the error if it fails."""
    command = [str(paddle_python()), str(FOLDER / script), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f'{" ".join(command)}:\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}')


def parse_arguments(doc: str, **options: dict) -> argparse.Namespace:
    """Parse a script's arguments, and make ``ppcls`` and ``tests/support`` importable.

    Args:
        doc (str): The script's docstring.
        **options (dict): What ``add_argument`` is given for ``--NAME``, beside ``FOLDER`` and
            ``--checkout``: the PaddleClas that ``ppcls`` comes from, by default the wheel's.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--checkout', type=Path, help="of PaddleClas; default: the wheel's models")
    for name, settings in options.items():
        parser.add_argument('--' + name.replace('_', '-'), **settings)
    args = parser.parse_args()
    wheel = importlib.util.find_spec('paddleclas')
    ppcls = args.checkout or (wheel and wheel.submodule_search_locations[0])
    sys.path[:0] = [str(FOLDER.parent / 'support'), *([str(ppcls)] if ppcls else [])]
    return args
