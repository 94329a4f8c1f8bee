"""Run a function of a test on several ranks of a process group (gloo)."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as torch_dist
import torch.multiprocessing as mp


def in_processes(function: Callable, world_size: int, folder: Path, *arguments) -> list:
    """Return what ``function(rank, world_size, *arguments)`` returns on each rank, by pickle.

    ``folder`` is made, for what the processes exchange.
    """
    folder.mkdir()
    # Children of a server need not import everything again, and it has never used autograd: after
    # that, torch refuses to in a fork, and other tests have used it here.
    mp.set_forkserver_preload(['mmpretrain_mldecoder.engine'])
    mp.start_processes(
        _worker,
        (world_size, str(folder), function, arguments),
        world_size,
        start_method='forkserver',
    )
    return [pickle.loads((folder / f'{rank}.pkl').read_bytes()) for rank in range(world_size)]


def _worker(rank, world_size, folder, function, arguments):
    torch.set_num_threads(1)
    os.environ['LOCAL_RANK'] = str(rank)
    torch_dist.init_process_group(
        'gloo', init_method=f'file://{folder}/init', rank=rank, world_size=world_size
    )
    Path(folder, f'{rank}.pkl').write_bytes(pickle.dumps(function(rank, world_size, *arguments)))
    torch_dist.barrier()
    # torch 2.7 may wait for ever in destroy_process_group: for a thread that waits for the GIL.
    os._exit(0)
