"""Batch norm over the images of all processes, on the CPU, where torch's refuses."""

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


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


class CPUSyncBatchNorm(_BatchNorm):
    """torch's ``SyncBatchNorm``, whose own computation wants a GPU, for processes on the CPU.

    Mean and variance are those of all images of the step, and gradients go through them to all
    processes: a step of several processes is that of one process with all their images, within
    rounding. The arguments, and the names in a checkpoint, are those of a batch norm. It is none of
    torch's by its class, which a distributed model on the CPU refuses.
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
        # Of the squares of what is centred: from those of the input, digits would be lost.
        variance = _SumOverProcesses.apply(centred.square().sum(dims)) / count
        if self.track_running_stats:
            self._move_running_statistics(mean.detach(), variance.detach() * count / (count - 1))
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        if not self.affine:
            return scaled
        return scaled * self.weight.view(shape) + self.bias.view(shape)

    @classmethod
    def replace_in(cls, module: nn.Module) -> nn.Module:
        """Put one in the place of every ``SyncBatchNorm``, with its tensors, and return the module.

        Args:
            module (nn.Module): Changed in place, unless it is itself a ``SyncBatchNorm``.
        """
        for name, child in module.named_children():
            setattr(module, name, cls.replace_in(child))
        if type(module) is not nn.SyncBatchNorm:
            return module
        own = cls(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
        own.weight, own.bias = module.weight, module.bias
        for name, buffer in module.named_buffers(recurse=False):
            setattr(own, name, buffer)
        return own.train(module.training)

    @torch.no_grad()
    def _move_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # the mean over all batches so far
            share = 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
