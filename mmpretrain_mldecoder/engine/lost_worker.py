"""What it means that a worker process is gone, in the words of its user."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data import DataLoader

from .ended_run import RunEnded

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
        yield
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        is_config = isinstance(loader, dict)
        now = loader.get('num_workers') if is_config else getattr(loader, 'num_workers', None)
        raise RunEnded(
            f'a worker process that loads the pictures is gone ({" ".join(str(error).split())}). '
            'Most often the system killed it because memory ran out (its log says so: dmesg). Take '
            f'fewer workers ({key}.num_workers is {now}) or give the job more memory. A training '
            'goes on with --resume'
        ) from error
