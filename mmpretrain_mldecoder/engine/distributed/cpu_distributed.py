"""Several processes on a machine without a GPU, which MMEngine cannot start."""

import datetime
import os
import subprocess

from mmengine.model import MMDistributedDataParallel
from mmpretrain.registry import MODEL_WRAPPERS
from torch import distributed, nn

from .cpu_sync_batch_norm import CPUSyncBatchNorm


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's distributed model on the CPU, where torch accepts no device ids.

    With ``sync_bn='torch'`` in the config its batch norms are :class:`CPUSyncBatchNorm`.

    Args:
        module (nn.Module): The model.
        device_ids: Ignored; MMEngine's runner always gives it.
        **kwargs: As in ``MMDistributedDataParallel``.
    """

    def __init__(self, module: nn.Module, device_ids=None, **kwargs):
        super().__init__(CPUSyncBatchNorm.replace_in(module), **kwargs)


def init_cpu_process_group(launcher: str, timeout: float | None = None) -> None:
    """Join the process group over gloo, without asking for a CUDA device as MMEngine does.

    Args:
        launcher (str): ``'pytorch'`` (torchrun), ``'slurm'`` or ``'mpi'``.
        timeout (float, optional): Seconds to wait for another process. Defaults to torch's.

    Raises:
        ValueError: If the launcher is unknown or did not set the environment variables.
    """
    if launcher == 'slurm':
        _read_slurm_environment()
    elif launcher == 'mpi':
        _rename_environment(
            RANK='OMPI_COMM_WORLD_RANK',
            WORLD_SIZE='OMPI_COMM_WORLD_SIZE',
            LOCAL_RANK='OMPI_COMM_WORLD_LOCAL_RANK',
        )
        os.environ.setdefault('MASTER_PORT', '29500')
    elif launcher != 'pytorch':
        raise ValueError(f"launcher must be 'pytorch', 'slurm' or 'mpi', but got {launcher!r}")
    _require('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
    # It keeps the group of its first import as a default argument, and with it gloo's threads, past
    # the end of the group: imported by a distributed model, that is too late.
    import torch.distributed.nn.functional  # noqa: F401

    wait = {} if timeout is None else dict(timeout=datetime.timedelta(seconds=timeout))
    distributed.init_process_group('gloo', **wait)


def _read_slurm_environment() -> None:
    _rename_environment(RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS', LOCAL_RANK='SLURM_LOCALID')
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        _require('SLURM_NODELIST')
        hosts = subprocess.run(
            ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']],
            check=True,
            capture_output=True,
            text=True,
        )
        os.environ['MASTER_ADDR'] = hosts.stdout.split()[0]


def _rename_environment(**names: str) -> None:
    _require(*names.values())
    for torch_name, launcher_name in names.items():
        os.environ[torch_name] = os.environ[launcher_name]


def _require(*names: str) -> None:
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(
            f'the launcher did not set {", ".join(missing)}: start the processes with '
            'tools/dist_train.sh or tools/slurm_train.sh, or leave --launcher out'
        )
