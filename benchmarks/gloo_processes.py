"""Run a function in a process group of gloo, as tests on the CPU do with several processes."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_in_processes(function: Callable, world_size: int, *arguments: Any) -> list:
    """Return what ``function(rank, world_size, *arguments)`` returns on every rank.

    Args:
        function (Callable): Defined at the top level of a module. What it returns goes through
            JSON. It runs with one thread of torch, in a temporary folder, in a new process: peaks
            of memory are its own.
        world_size (int): Number of processes, at least 1.
        *arguments: Further arguments of the function.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_worker, (world_size, folder, function, arguments), world_size)
        return [json.loads(Path(folder, f'{i}.json').read_text()) for i in range(world_size)]


def peak_megabytes() -> float:
    """Return the most memory that this process has held so far, in MB of 10^6 bytes (Linux).

    Not from ``getrusage``, where a new process starts with the peak of the one that started it.
    """
    status = Path('/proc/self/status').read_text()
    return int(status.partition('VmHWM:')[2].split()[0]) * 1024 / 1e6


def _worker(
    rank: int, world_size: int, folder: str, function: Callable, arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.chdir(folder)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/init', rank=rank, world_size=world_size
    )
    result = function(rank, world_size, *arguments)
    Path(folder, f'{rank}.json').write_text(json.dumps(result))
    dist.barrier()
    dist.destroy_process_group()
