"""Text for terminals: escaped names, one-line errors, quiet loggers and progress bars."""

import logging
import sys
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


def printable(text: str) -> str:
    r"""Escape what a terminal would act on, and bytes of a file name that are not UTF-8.

    The former are control characters, line separators and what reverses the direction of writing;
    an ``ESC`` becomes ``\x1b``.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.encode(errors='surrogateescape').decode(errors='backslashreplace')
    return ''.join(c.encode('unicode_escape').decode() if _acts(c) else c for c in text)


def _acts(character: str) -> bool:
    # Control, format (except the two that join letters and emoji), line and paragraph separators.
    is_joiner = character in '\u200c\u200d'
    return not is_joiner and unicodedata.category(character) in ('Cc', 'Cf', 'Zl', 'Zp')


def one_line(error: BaseException) -> str:
    """Return the text of an exception in one line; the name of its class if it has no text."""
    return ' '.join(str(error).split()) or type(error).__name__


def listed(names: Collection[str], most: int = 4) -> str:
    """Join the first names: ``a, b, c, d, ...``."""
    return ', '.join([*list(names)[:most], *['...'] * (len(names) > most)])


def counted(number: int, one: str, many: str = '') -> str:
    """Return a number and what it counts, such as ``'1 class'`` or ``'2,000 classes'``.

    ``many`` is by default ``one`` with -s, or -es behind s and x; a verb may follow both.
    """
    many = many or one + ('es' if one.endswith(('s', 'x')) else 's')
    return f'{number:,} {one if number == 1 else many}'


@contextmanager
def quiet(*loggers: logging.Logger, level: int = logging.WARNING) -> Iterator[None]:
    """Have loggers pass on what is of a level, and above it, for a while."""
    levels = {logger: logger.level for logger in loggers}
    try:
        for logger in loggers:
            logger.setLevel(level)
        yield
    finally:
        for logger, before in levels.items():
            logger.setLevel(before)


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text('' if speed is None else f'{speed:.1f} images/s')


def progress_bar(disable: bool = False) -> Progress:
    """Return a bar on stderr, drawn on a terminal only and removed at the end.

    Lines printed meanwhile appear above it, where stdout is the terminal too.
    """
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=disable,
    )
