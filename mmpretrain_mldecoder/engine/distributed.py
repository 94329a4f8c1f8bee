"""Several processes: agreement of ranks, wrapped models, and training without a GPU."""

import datetime
import os
import subprocess
from collections.abc import Callable
from typing import TypeVar

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmpretrain.registry import MODEL_WRAPPERS
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import ConfigError, RunError

Result = TypeVar('Result')


def on_main_process(act: Callable[[], Result]) -> Result:
    """Call a function on the main process; return or raise on all ranks what it does there.

    What it returns or raises must be picklable. Errors other than ``RunError``, ``ConfigError`` and
    ``OSError`` are a ``RunError`` on the other ranks.
    """
    return _on_some_ranks(act, is_main_process())[0]


def on_each_machine(act: Callable[[], Result]) -> list[Result]:
    """Call a function on the first rank of each machine, and return its result for each rank."""
    return _on_some_ranks(act, is_main_process() or os.environ.get('LOCAL_RANK') == '0')


def _on_some_ranks(act: Callable[[], Result], acts: bool) -> list[Result]:
    result = error = None
    if acts:
        try:
            result = act()
        except Exception as raised:
            error = raised
    shared = error
    if error is not None and not isinstance(error, RunError | ConfigError | OSError):
        shared = RunError(f'another process ended: {type(error).__name__}: {error}')
    outcomes = all_gather_object((acts, result, shared))
    if error is not None:
        raise error
    results: list[Result] = []
    for acted, result, shared in outcomes:
        if shared is not None:
            raise shared
        results.append(result if acted else results[-1])
    return results


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside the wrapper for several processes, if it is in one."""
    return model.module if is_model_wrapper(model) else model


class RankVote:
    """Ask all ranks, any number of times, whether something is true on one of them.

    The answers travel over gloo, so no GPU is waited for. All ranks ask at the same places of the
    run. Whether this rank has a ``notice`` travels along with each question, so one exchange a step
    is enough; ``noticed`` is whether a rank had one at the last question.
    """

    def __init__(self):
        self.notice: Callable[[], bool] = lambda: False
        self.noticed = False
        self._group: distributed.ProcessGroup | None = None

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is true on at least one rank."""
        flags = torch.tensor([flag, self.notice()], dtype=torch.uint8)
        if distributed.is_available() and distributed.is_initialized():
            if self._group is None and distributed.get_backend() != 'gloo':
                self._group = distributed.new_group(backend='gloo')
            distributed.all_reduce(flags, distributed.ReduceOp.MAX, self._group)
        answer, self.noticed = map(bool, flags.tolist())
        return answer


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's distributed model on the CPU, where torch refuses the ``device_ids`` that it gets.

    With ``sync_bn='torch'`` in the config its batch norms are :class:`CPUSyncBatchNorm`.
    """

    def __init__(self, module: nn.Module, device_ids=None, **kwargs):
        super().__init__(CPUSyncBatchNorm.replace_in(module), **kwargs)


class CPUSyncBatchNorm(_BatchNorm):
    """torch's ``SyncBatchNorm``, which computes on GPUs only, for processes on the CPU.

    A step of several processes is that of one process with all their images, within rounding.
    Arguments and names in a checkpoint are those of a batch norm. The class inherits from none of
    torch's, which a distributed model on the CPU refuses.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f'a batch norm takes (B, C) or (B, C, ...), got {input.dim()} axes')

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and distributed.is_initialized()):
            return super().forward(input)
        dims = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        # Processes may have different numbers of images.
        sums = torch.cat([input.sum(dims), input.new_tensor([input.numel() / input.shape[1]])])
        sums = _SumOverProcesses.apply(sums)
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = input - mean.view(shape)
        # Squares of the centred values: with those of the input, digits would be lost.
        variance = _SumOverProcesses.apply(centred.square().sum(dims)) / count
        if self.track_running_stats:
            self._move_running_statistics(mean.detach(), variance.detach() * count / (count - 1))
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        if not self.affine:
            return scaled
        return scaled * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _move_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # the mean over all batches so far
            share = 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)

    @classmethod
    def replace_in(cls, module: nn.Module) -> nn.Module:
        """Replace each ``SyncBatchNorm`` in place, keep its tensors, and return the module."""
        for name, child in module.named_children():
            setattr(module, name, cls.replace_in(child))
        if type(module) is not nn.SyncBatchNorm:
            return module
        names = ('num_features', 'eps', 'momentum', 'affine', 'track_running_stats')
        own = cls(*(getattr(module, name) for name in names))
        own.weight, own.bias = module.weight, module.bias
        for name, buffer in module.named_buffers(recurse=False):
            setattr(own, name, buffer)
        return own.train(module.training)


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        summed = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _SumOverProcesses.apply(gradient)


# Names that other launchers give to the variables of torchrun.
_NAMES: dict[str, dict[str, str]] = dict(
    pytorch={},
    slurm=dict(RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS', LOCAL_RANK='SLURM_LOCALID'),
    mpi={name: f'OMPI_COMM_WORLD_{name}' for name in ('RANK', 'LOCAL_RANK')}
    | dict(WORLD_SIZE='OMPI_COMM_WORLD_SIZE'),
)


def init_cpu_process_group(launcher: str, timeout: float | None = None) -> None:
    """Join the process group over gloo, without asking for a CUDA device as MMEngine does.

    The launcher is ``'pytorch'`` (torchrun), ``'slurm'`` or ``'mpi'``; another one, or one that did
    not set its environment variables, is a ``ValueError``. ``timeout`` is in seconds.
    """
    if launcher not in _NAMES:
        raise ValueError(f"launcher must be 'pytorch', 'slurm' or 'mpi', but got {launcher!r}")
    names = _NAMES[launcher]
    _require(*names.values())
    os.environ |= {name: os.environ[theirs] for name, theirs in names.items()}
    if launcher != 'pytorch':
        os.environ.setdefault('MASTER_PORT', '29500')
    if launcher == 'slurm' and 'MASTER_ADDR' not in os.environ:
        _require('SLURM_NODELIST')
        command = ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']]
        hosts = subprocess.run(command, check=True, capture_output=True, text=True)
        os.environ['MASTER_ADDR'] = hosts.stdout.split()[0]
    _require('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
    # It keeps the group of its first import as a default argument, and so gloo's threads, past the
    # end of the group: imported by a distributed model, that is too late.
    import torch.distributed.nn.functional  # noqa: F401

    wait = {} if timeout is None else dict(timeout=datetime.timedelta(seconds=timeout))
    distributed.init_process_group('gloo', **wait)


def _require(*names: str) -> None:
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(
            f'the launcher did not set {", ".join(missing)}: start the processes with '
            'tools/dist_train.sh or tools/slurm_train.sh, or remove --launcher'
        )
