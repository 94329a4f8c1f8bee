"""How a tool ends where its run cannot go on: one line and a status, not a traceback."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import ConfigError, RunError

# What a shell reports of a command that Ctrl-C ended: 128 and the number of the signal.
INTERRUPTED = 130
# A full disk or quota, what is not to be written, a file in the place of a folder or a folder in
# that of a file, a name that cannot be.
_NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}
_NOT_WRITABLE |= {errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


@contextmanager
def ends_in_one_line(after_interrupt: str) -> Iterator[None]:
    """End the tool with status 1 for a :class:`RunError`, 2 for a wrong config, 130 for Ctrl-C.

    A disk that is full or not to be written, and weights that cannot be downloaded, count as a
    :class:`RunError`. Each time one line goes
    to standard error. Other errors pass, with their traceback.

    Args:
        after_interrupt (str): Follows the word "interrupted": what is kept, and how to go on.

    Raises:
        SystemExit: In place of each.
    """
    try:
        yield
    except RunError as error:
        print(f'error: {error}', file=sys.stderr, flush=True)
        sys.exit(1)
    except ConfigError as error:  # ahead of OSError, as one is a FileNotFoundError too
        print(f'error: {error}', file=sys.stderr, flush=True)
        sys.exit(2)
    except OSError as error:
        if isinstance(error, ConnectionError) and error.errno is None:  # of our downloads
            print(f'error: {error}', file=sys.stderr, flush=True)
            sys.exit(1)
        if error.errno not in _NOT_WRITABLE:
            raise
        what = error.strerror if error.filename is None else f'{error.filename}: {error.strerror}'
        print(f'error: {what}. Make room or choose another folder', file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f'interrupted: {after_interrupt}', file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)
