"""Commands that a test starts, waits for, and ends with all their processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# Measured on two slow cores: 2 to 10 s. torchrun kills after 30 s what does not end by itself.
PATIENCE = 45


class Command:
    """A script in a process group of its own, as a terminal starts it, and what it printed."""

    def __init__(self, log: Path, *words: str | Path, **more_environment: str):
        self._log = log
        paths = [str(Path(__file__).parent), os.environ.get('PYTHONPATH', '')]
        environment = dict(PYTHON=sys.executable, PYTHONPATH=os.pathsep.join(paths))
        environment |= dict(OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE', PYTHONWARNINGS='ignore')
        program = [] if words[0] == 'bash' else [sys.executable]
        with log.open('w') as out:
            self.process = subprocess.Popen(
                [*program, *map(str, words)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | environment | more_environment,
                start_new_session=True,
                # A shell without job control starts what is in the background without Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def printed(self) -> str:
        return self._log.read_text()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < end, self.printed
            time.sleep(0.05)

    def wait_for_words(self, words: str) -> None:
        self.wait_for(lambda: words in self.printed)

    def end(self) -> int:
        """Return the status, at the latest after ``PATIENCE``; no process of it is left then."""
        status = self.process.wait(PATIENCE)
        end = time.monotonic() + 15  # a worker looks every 5 s whether its parent lives
        while _group(self.process.pid):
            assert time.monotonic() < end, f'left: {_group(self.process.pid)}'
            time.sleep(0.1)
        return status


@contextmanager
def started(log: Path, *words: str | Path, **environment: str) -> Iterator[Command]:
    command = Command(log, *words, **environment)
    try:
        yield command
    finally:
        for pid in _group(command.process.pid):
            os.kill(pid, signal.SIGKILL)
        command.process.wait()


def _group(session: int) -> list[int]:
    """Living processes of a session; torchrun gives its processes groups of their own."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
