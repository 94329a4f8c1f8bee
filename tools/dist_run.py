"""torchrun, for dist_train.sh: forwards SIGTERM and SIGUSR1, and ends as the processes did.

torchrun itself ends with status 1 after a signal, and kills what needs longer than 30 seconds.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

TEMPORARY_FAILURE = 75  # as in mmpretrain_mldecoder.errors, whose import takes seconds
received = []


def forward(number: int, frame) -> None:
    """Send a signal to the processes of this one, which save and end with status 75."""
    received.append(number)
    children = find_children()
    for child in children:
        os.kill(child, number)
    if not children:
        end_by(number)


def find_children() -> list[int]:
    """Return the ids of the processes that this one has started (Linux)."""
    children = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        with suppress(OSError, ValueError):  # gone by now
            state, parent = path.read_text(errors='replace').rpartition(')')[2].split()[:2]
            if int(parent) == os.getpid() and state != 'Z':
                children.append(int(path.parent.name))
    return children


def end_by(number: int) -> None:
    """End as the signal does by default."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == '__main__':
    if Path('/proc/self/stat').is_file():
        names = ('TORCHELASTIC_SIGNALS_TO_HANDLE', 'PET_SIGNALS_TO_HANDLE')  # torch's old, new
        os.environ |= dict.fromkeys(names, 'SIGINT,SIGHUP,SIGQUIT')
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, forward)
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.main()
    except ChildFailedError as error:
        if TEMPORARY_FAILURE in [failure.exitcode for failure in error.failures.values()]:
            sys.exit(TEMPORARY_FAILURE)
        if received:
            end_by(received[0])
        raise
