"""Convolutions in channels-last order, with checkpoints in the default order."""

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.utils import apply_to
from mmpretrain.registry import HOOKS
from torch import Tensor, nn


def is_safe_in_channels_last(model: nn.Module) -> bool:
    """Return whether no convolution of the model triggers a known bug of oneDNN on the CPU.

    The backward pass of a strided 1x1 convolution of few channels writes past its memory
    (github.com/uxlfoundation/oneDNN, issue 6035).
    """
    return not any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels // module.groups < 16
        for module in model.modules()
    )


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Save checkpoints in torch's default order while the model is in channels-last.

    So files are the same with and without channels-last, and a training resumes from either. On
    resume the optimiser's averages get the order of their parameters, as fused optimisers need it.
    ``PortableRunner`` adds this hook.
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        for part in ('state_dict', 'ema_state_dict'):
            tensors = checkpoint.get(part, {})
            for name, value in tensors.items():
                tensors[name] = value.contiguous()
        if 'optimizer' in checkpoint:
            checkpoint['optimizer'] = apply_to(
                checkpoint['optimizer'], lambda x: isinstance(x, Tensor), Tensor.contiguous
            )

    def before_train(self, runner) -> None:
        wrapper = runner.optim_wrapper
        wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        for parameter, state in (p for w in wrappers for p in w.optimizer.state.items()):
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
