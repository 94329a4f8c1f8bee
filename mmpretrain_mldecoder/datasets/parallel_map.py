"""Call a function on many items in several processes, with a progress bar."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

Item = TypeVar('Item')
Result = TypeVar('Result')

# Items that a process gets at a time.
CHUNK = 8


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
        workers (int, optional): Processes; 0 means none beside this one. Defaults to the cores that
            this process may use.

    Raises:
        ChildProcessError: If a process is gone, killed by the system perhaps.
        Exception: What ``function`` raises.
    """
    workers = usable_cores() if workers is None else workers
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        if not workers:
            yield from bar.track(map(function, items), total=len(items), description=title)
            return
        executor = ProcessPoolExecutor(workers, initializer=_start_worker)
        try:
            results = executor.map(function, items, chunksize=CHUNK)
            yield from bar.track(results, total=len(items), description=title)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                f'one of {workers} worker processes is gone. Most often the system killed it '
                'because memory ran out (its log says so: dmesg). Call again with fewer workers'
            ) from error
        finally:  # where the caller stops early, what has begun is still brought to its end
            executor.shutdown(cancel_futures=True)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_worker() -> None:
    """One thread a worker; Ctrl-C, which reaches all processes, is for the first one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
