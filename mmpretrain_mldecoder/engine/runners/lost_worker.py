"""What it means that a worker process is gone, in the words of its user."""

import re
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data import DataLoader, dataloader

from .ended_run import RunEnded

# What reading from a process that has just gone gives, before torch has noticed.
_BROKEN = (ConnectionError, EOFError, FileNotFoundError)
# torch's two messages: from its signal handler, and from a look at the workers of a data loader.
_LOST = re.compile(r'DataLoader worker .*(killed by signal|exited unexpectedly)')


@contextmanager
def explained_worker_loss(key: str, loader: DataLoader | dict | None) -> Iterator[None]:
    """Say what probably happened when a data loader's worker is gone.

    Args:
        key (str): Of the data loader in the config.
        loader (DataLoader | dict, optional): The data loader, or its config.

    Raises:
        RunEnded: In place of torch's ``RuntimeError``.
    """
    try:
        try:
            yield
        except _BROKEN:
            time.sleep(0.5)  # torch's signal handler may be about to say which worker it is
            raise
    except (RuntimeError, *_BROKEN) as error:
        if not _is_lost_worker(error):
            raise
        is_config = isinstance(loader, dict)
        now = loader.get('num_workers') if is_config else getattr(loader, 'num_workers', None)
        told = ' '.join(str(error).split()) or type(error).__name__
        raise RunEnded(
            f'a worker process that loads the pictures is gone ({told}). Most often the system '
            'killed it because memory ran out (its log says so: dmesg). Take fewer workers '
            f'({key}.num_workers is {now}) or give the job more memory. A training goes on with '
            '--resume'
        ) from error


def _is_lost_worker(error: Exception) -> bool:
    if not isinstance(error, _BROKEN):
        return bool(_LOST.search(str(error)))
    # Reading from the worker failed. What a worker itself raises comes another way.
    frames = traceback.extract_tb(error.__traceback__)
    is_read = any(f.filename == dataloader.__file__ and f.name == '_try_get_data' for f in frames)
    return is_read or 'in pin memory thread' in str(error)
