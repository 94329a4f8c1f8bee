"""Call a function on many items in several processes, with a progress bar."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2
import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from .resized_copy import usable_cores

Item = TypeVar('Item')
Result = TypeVar('Result')

# Items that a process gets at a time.
CHUNK = 16


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    workers: int | None = None,
) -> Iterator[Result]:
    """Yield ``function(item)`` of each item, in order, with a progress bar on standard error.

    Args:
        function (Callable): Known by name in its module, or a ``partial`` of such a one.
        items (Sequence): What to call it on.
        title (str): Stands before the bar.
        workers (int, optional): Processes, at least 1. Defaults to the cores that this process
            may use.
    """
    workers = usable_cores() if workers is None else workers
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    executor = ProcessPoolExecutor(workers, initializer=_start_worker)
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            results = executor.map(function, items, chunksize=CHUNK)
            yield from bar.track(results, total=len(items), description=title)
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One thread a worker; Ctrl-C, which reaches all processes, is for the first one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
