"""The interpreter that has PaddlePaddle, which never shares a process with torch."""

import os
import subprocess
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
