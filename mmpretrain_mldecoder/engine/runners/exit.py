"""Exit statuses of the tools: errors in one line, without a traceback."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import ConfigError, Preempted, RunError

FAILED, WRONG_USAGE = 1, 2
INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended
# A full disk or quota, a folder or file that cannot be written, a name that cannot be.
_NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}
_NOT_WRITABLE |= {errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


@contextmanager
def exit_on_error(after_interrupt: str) -> Iterator[None]:
    """End a tool with one line on standard error and a status, where its run cannot continue.

    The status is 1 after a :class:`RunError`, a disk that cannot be written or a download that
    fails, 2 after a :class:`ConfigError`, 75 after :class:`Preempted`, and 130 after Ctrl-C. All
    other errors are raised, with their traceback.

    Args:
        after_interrupt (str): Follows "interrupted: "; what is kept and how to continue.
    """
    try:
        yield
    except Preempted as preempted:
        if preempted.message:
            print(preempted.message, file=sys.stderr, flush=True)
        raise
    except RunError as error:
        _exit(FAILED, f'error: {error}')
    except ConfigError as error:  # before OSError: one of them is a FileNotFoundError too
        _exit(WRONG_USAGE, f'error: {error}')
    except OSError as error:
        if isinstance(error, ConnectionError) and error.errno is None:  # of our downloads
            _exit(FAILED, f'error: {error}')
        if error.errno not in _NOT_WRITABLE:
            raise
        what = error.strerror if error.filename is None else f'{error.filename}: {error.strerror}'
        _exit(FAILED, f'error: {what}. Make room or choose another folder')
    except KeyboardInterrupt:
        _exit(INTERRUPTED, f'interrupted: {after_interrupt}')


def _exit(status: int, line: str) -> None:
    print(line, file=sys.stderr, flush=True)
    sys.exit(status)
