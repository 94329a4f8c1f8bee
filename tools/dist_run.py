"""torchrun, for dist_train.sh: hands SIGTERM and SIGUSR1 on, and ends as the processes did.

torchrun itself ends with status 1 after a signal, and kills what needs longer than 30 seconds.
"""

import os
import signal
import sys
from pathlib import Path

TEMPORARY_FAILURE = 75  # as in mmpretrain_mldecoder.engine, whose import takes seconds
received = []


def hand_on(number: int, frame) -> None:
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
        try:
            state, parent = path.read_text(errors='replace').rpartition(')')[2].split()[:2]
        except (OSError, ValueError):  # gone by now
            continue
        if int(parent) == os.getpid() and state != 'Z':
            children.append(int(path.parent.name))
    return children


def end_by(number: int) -> None:
    """End as the signal does by default."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def main() -> None:
    """Run torchrun with the arguments of the command line."""
    if Path('/proc/self/stat').is_file():
        # Both names: torch read the first, and by now has an option that the second sets.
        for name in ('TORCHELASTIC_SIGNALS_TO_HANDLE', 'PET_SIGNALS_TO_HANDLE'):
            os.environ[name] = 'SIGINT,SIGHUP,SIGQUIT'
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, hand_on)
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


if __name__ == '__main__':
    main()
