"""A progress bar for work on many pictures, with the rate and the time that is left."""

import sys

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


class _Rate(ProgressColumn):
    """Pictures a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text('' if speed is None else f'{speed:.1f} pictures/s')


def progress_bar(disable: bool = False) -> Progress:
    """Return a bar on stderr; it is drawn on a terminal only, and goes away at the end.

    Lines that are printed meanwhile stand above it, where stdout is the terminal too.

    Args:
        disable (bool): Whether there is no bar. Defaults to False.
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
