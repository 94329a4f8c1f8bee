"""The errors that a user meets, and the one line and status with which tools end at them."""

import errno
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from .fileio.terminal import printable

# EX_TEMPFAIL of sysexits.h: the same command, with --resume, continues.
TEMPORARY_FAILURE = 75
FAILED, WRONG_USAGE = 1, 2
INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended
# A full disk or quota, a folder or file that cannot be written, a name that cannot be.
_NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}
_NOT_WRITABLE |= {errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


class ConfigError(ValueError):
    """An error in a config; the message names the key, the value and the fix."""


class ConfigFileNotFoundError(ConfigError, FileNotFoundError):
    """A config names a file that does not exist."""


class RunError(RuntimeError):
    """A training or test cannot continue; the message says why and what to do."""


class WorkDirInUseError(RunError):
    """Another training runs in the work dir; the message says where."""


class Preempted(SystemExit):
    """A training ends because of a signal; left to the interpreter, with status 75.

    Attributes:
        message (str): What to print, on the main process; empty on the others.
        all_together (bool): Whether all ranks leave at the same place.
    """

    def __init__(self, message: str, all_together: bool):
        super().__init__(TEMPORARY_FAILURE)
        self.message, self.all_together = message, all_together


class WeightsMismatchError(ValueError):
    """Weights do not fit the model that they are for; the message lists names and shapes."""


class ParityError(RuntimeError):
    """The scores of an exported file differ from torch's; ``export`` holds what was compared."""

    def __init__(self, message: str, export: object):
        super().__init__(message)
        self.export = export


class OpenQuestion(ValueError):
    """Labels can be read in several ways: a question to ask, or an argument to set.

    Args:
        argument (str): Name of the argument that answers it, a field of :class:`.Answers`.
        question (str): One sentence, with counts and an example of the file.
        choices (Mapping): What each value of the argument means; other values may be possible.
    """

    def __init__(self, argument: str, question: str, choices: Mapping[Any, str]):
        self.argument, self.question, self.choices = argument, question, choices
        listed = '; '.join(f'{value!r}: {meaning}' for value, meaning in islice(choices.items(), 9))
        listed += f'; and {len(choices) - 9} others' if len(choices) > 9 else ''
        super().__init__(printable(f'{question} Set `{argument}` ({listed})'))


class UnreadableImageError(ValueError):
    """A file that is no image, is truncated, or would be decoded wrongly.

    Args:
        path (str): The file; without a reason the whole text, see :func:`message_from_worker`.
        reason (str, optional): What is wrong with it.
        code (str): One of ``'missing'``, ``'unreadable'``, ``'truncated'``, ``'too_large'`` and
            ``'blank'``. Defaults to ``'unreadable'``.

    Attributes:
        path (str | None): As given, like ``reason`` and ``code``; None if raised in a worker.
    """

    def __init__(self, path: str, reason: str | None = None, code: str = 'unreadable'):
        self.path: str | None = path
        self.reason, self.code = reason, code
        text = f'cannot read image {printable(path)}: {reason}'
        if reason is None:
            self.path, text = None, message_from_worker(type(self), path)
        super().__init__(text)

    def __reduce__(self) -> tuple:
        arguments = (str(self),) if self.reason is None else (self.path, self.reason, self.code)
        return type(self), arguments


class TooManyUnreadableError(ValueError):
    """More training images are unreadable than the dataset allows; lists them."""

    def __init__(self, text: str):
        super().__init__(message_from_worker(type(self), text))


def message_from_worker(kind: type[Exception], text: str) -> str:
    """Return the message of an exception from the traceback that a ``DataLoader`` makes of it.

    The loader raises what a worker raised again, as ``kind(text of the traceback)``.
    """
    return text.rstrip().rpartition(f'{kind.__name__}: ')[2]


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
