"""The processes that share the work of a prediction."""

import datetime
import os
from dataclasses import dataclass

import torch
from torch import distributed

# As long as the slowest process takes: it may have more left to do than the others.
_PATIENCE = datetime.timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """Which process this is, of how many; by default the only one.

    Attributes:
        rank (int): Number of this process, from 0.
        size (int): How many there are.
        local_rank (int): Number of this process on its machine, and of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> 'Processes':
        """Read what ``torchrun`` sets; without it there is one process.

        Raises:
            ValueError: If there are several processes that cannot find each other.
        """
        size = int(os.environ.get('WORLD_SIZE', 1))
        if size == 1:
            return cls()
        missing = {'RANK', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'} - set(os.environ)
        if missing:
            raise ValueError(
                f'WORLD_SIZE is {size}, but {", ".join(sorted(missing))} is not set: start '
                'several processes with torchrun'
            )
        return cls(int(os.environ['RANK']), size, int(os.environ['LOCAL_RANK']))

    def device(self, name: str | None) -> str | None:
        """Return the device of this process: where there are several, each has its own GPU."""
        if self.size > 1 and name in (None, 'cuda') and torch.cuda.is_available():
            return f'cuda:{self.local_rank % torch.cuda.device_count()}'
        return name

    def wait_for_all(self) -> None:
        """Return when every process has come here."""
        if self.size == 1:
            return
        if not distributed.is_initialized():
            distributed.init_process_group('gloo', timeout=_PATIENCE)
        distributed.barrier()

    def leave(self) -> None:
        """End the process group, if there is one."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()
