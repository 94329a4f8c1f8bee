"""Calling of a function on many items in several processes, with a progress bar."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
import torch

from ..fileio.terminal import progress_bar

Item = TypeVar('Item')
Result = TypeVar('Result')

_CHUNK = 8  # items that a process gets at a time


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    workers: int | None = None,
) -> Iterator[Result]:
    """Yield ``function(item)`` of each item, in order, with a progress bar on standard error.

    ``function`` can be pickled: a function of a module, or a ``partial`` of one. ``title`` stands
    before the bar. With ``workers=0`` this process works alone; by default there are as many as
    cores that it may use.

    Raises:
        ChildProcessError: If a process died, killed by the system perhaps.
    """
    workers = usable_cores() if workers is None else workers
    with progress_bar() as bar:
        if not workers:
            yield from bar.track(map(function, items), total=len(items), description=title)
            return
        executor = ProcessPoolExecutor(workers, initializer=_start_worker)
        try:
            results = executor.map(function, items, chunksize=_CHUNK)
            yield from bar.track(results, total=len(items), description=title)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                f'one of {workers} worker processes died. Most often the system killed it because '
                'memory ran out (its log says so: dmesg). Call again with fewer workers.'
            ) from error
        finally:  # if the caller stops early, the calls that have begun still finish
            executor.shutdown(cancel_futures=True)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_worker() -> None:
    """Use one thread per worker; leave Ctrl-C, which reaches all processes, to the first one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
