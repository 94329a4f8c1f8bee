"""Work dirs: a log folder for each run, and one training at a time."""

import errno
import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from mmengine.runner import Runner

from ...errors import WorkDirInUseError
from ..distributed import on_main_process

_FORMAT = '%Y%m%d_%H%M%S'
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def lock_work_dir(work_dir: str | os.PathLike) -> TextIO | None:
    """Lock a work dir until the file that is returned is closed, or the process ends.

    It is an ``flock`` on ``.training.lock``, which names its holder. The system releases it however
    the process ends; the file stays. Processes that this one starts by ``fork`` do not hold it.

    Returns None where the file system, such as a network one, has no locks. Raises
    :class:`WorkDirInUseError` if another training holds it, with its host, process id and start.
    """
    file = Path(work_dir, '.training.lock').open('a+', encoding='utf-8')  # noqa: SIM115 - kept
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or 'its process is unknown'
        file.close()
        raise WorkDirInUseError(
            f'another training is running in {work_dir} ({holder}). Wait for its end, or use '
            'another --work-dir'
        ) from None
    except OSError as error:
        file.close()
        if error.errno not in _NO_LOCKS:
            raise
        return None
    file.truncate(0)
    start = datetime.now().astimezone().isoformat(' ', 'seconds')
    file.write(f'host {socket.gethostname()}, pid {os.getpid()}, since {start}\n')
    file.flush()
    # A worker that outlives this process for a moment must not keep the lock.
    os.register_at_fork(after_in_child=file.close)
    return file


@contextmanager
def one_training(runner: Runner) -> Iterator[None]:
    """Hold the lock of a work dir on the main process; if it is taken, all ranks raise.

    Then the log folder of this run is removed.
    """
    locks = []

    def take() -> bool:
        try:
            locks.append(lock_work_dir(runner.work_dir))
        except WorkDirInUseError:
            shutil.rmtree(runner.log_dir, ignore_errors=True)
            raise
        return locks[0] is not None

    try:
        if not on_main_process(take):
            runner.logger.warning(
                f'The file system of {runner.work_dir} has no locks: nothing prevents a second '
                'training in this folder.'
            )
        yield
    finally:
        for lock in filter(None, locks):
            lock.close()


def claim_timestamp(work_dir: str | os.PathLike, timestamp: str) -> str:
    """Make ``<work_dir>/<timestamp>``, or that of the next second that no other run has.

    Returns the timestamp, ``20240131_235959``, on all ranks.
    """

    def claim() -> str:
        second = datetime.strptime(timestamp, _FORMAT)
        while True:
            try:
                Path(work_dir, second.strftime(_FORMAT)).mkdir()
                return second.strftime(_FORMAT)
            except FileExistsError:
                second += timedelta(seconds=1)

    return on_main_process(claim)


def earlier_checkpoints(work_dir: str | os.PathLike) -> list[str]:
    """Return the names of the checkpoints in a folder, the latest first."""
    matches = [re.search(r'(?:epoch|iter)_(\d+)\.pth$', p.name) for p in Path(work_dir).iterdir()]
    found = sorted((-int(match[1]), match.string) for match in matches if match)
    return [name for _, name in found]
