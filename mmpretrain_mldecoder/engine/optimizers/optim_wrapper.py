"""Optimiser wrappers: weight decay by dimension, and steps that are skipped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, DefaultOptimWrapperConstructor, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import Tensor, nn

from ...errors import ConfigError
from ..distributed.agree import RankVote


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NoDecay1DConstructor(DefaultOptimWrapperConstructor):
    """Build the optimiser with two parameter groups, in this order.

    1. Parameters of two and more dimensions (weights), with the optimiser's ``weight_decay``.
    2. The others (biases, weights of norms, scalars), with ``weight_decay=0``.

    Frozen parameters are in neither; a shared parameter is in one once.

    Args:
        optim_wrapper_cfg (dict): As in MMEngine: ``optimizer`` and the arguments of the wrapper.
        paramwise_cfg (dict, optional): Must be None or empty.

    Raises:
        ValueError: If there is a ``paramwise_cfg``, or when called, if nothing is trainable.

    Example:
        >>> optimizer = dict(type='Adam', lr=1e-4, weight_decay=1e-4)
        >>> optim_wrapper = dict(optimizer=optimizer, constructor='NoDecay1DConstructor')
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        if paramwise_cfg:
            raise ValueError(
                f'NoDecay1DConstructor takes no paramwise_cfg, but got {dict(paramwise_cfg)}. '
                'Remove it, or use constructor="DefaultOptimWrapperConstructor" (its '
                'flat_decay_mult=0 also excludes 1-D parameters).'
            )
        super().__init__(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        if is_model_wrapper(model):
            model = model.module
        trainable = [p for p in model.parameters() if p.requires_grad]
        if not trainable:
            raise ValueError(f'{type(model).__name__} has no trainable parameter to optimise')
        groups = [
            dict(params=[p for p in trainable if p.ndim >= 2]),
            dict(params=[p for p in trainable if p.ndim < 2], weight_decay=0.0),
        ]
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=groups))
        wrapper_cfg = {'type': 'OptimWrapper', **self.optim_wrapper_cfg}
        return OPTIM_WRAPPERS.build(wrapper_cfg, default_args=dict(optimizer=optimizer))


class SkippingMixin:
    """Skip a step whose loss is NaN or infinite on any rank.

    Neither parameters nor buffers change (statistics of batch norms are restored), there is no
    backward pass, and accumulated gradients are dropped. Schedules and averages continue.
    :class:`FiniteLossHook` counts the steps and ends the training after too many.

    Args:
        max_skips (int): Steps that may be skipped in the whole training, at least 1.

    Attributes:
        skipped (bool): Whether the last step was skipped.
        vote (RankVote): By which all ranks agree; :class:`FiniteLossHook` gives it its own.
    """

    def __init__(self, *, max_skips: int, **kwargs):
        if isinstance(max_skips, bool) or not isinstance(max_skips, int) or max_skips < 1:
            raise ValueError(
                f'optim_wrapper.max_skips must be an integer of at least 1, but got {max_skips!r}; '
                'remove it to end the training at the first loss that is not finite'
            )
        super().__init__(**kwargs)
        self.max_skips = max_skips
        self.skipped = False
        self.vote = RankVote()
        self._buffers: list[tuple[Tensor, Tensor]] = []

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Also remember the buffers before the forward pass."""
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        with super().optim_context(model):
            yield

    def update_params(self, loss: Tensor, *args, **kwargs) -> None:
        """Take the step, or skip it on all ranks."""
        self.skipped = self.vote.any(not bool(torch.isfinite(loss)))
        if not self.skipped:
            super().update_params(loss, *args, **kwargs)
            return
        with torch.no_grad():
            for buffer, before in self._buffers:
                buffer.copy_(before)
        self.zero_grad()
        self._inner_count += 1  # as `backward` does: accumulation stays in step


class SkippingOptimWrapper(SkippingMixin, OptimWrapper):
    """``OptimWrapper`` with ``max_skips``, see :class:`SkippingMixin`."""


class SkippingAmpOptimWrapper(SkippingMixin, AmpOptimWrapper):
    """``AmpOptimWrapper`` with ``max_skips``, see :class:`SkippingMixin`."""


def skipping(optim_wrapper: dict) -> dict:
    """Return the config of a wrapper with the class that knows ``max_skips``, or raise."""
    wrapper_type = optim_wrapper.get('type', 'OptimWrapper')
    name = getattr(wrapper_type, '__name__', str(wrapper_type)).rpartition('.')[2]
    classes = dict(OptimWrapper=SkippingOptimWrapper, AmpOptimWrapper=SkippingAmpOptimWrapper)
    if name not in classes:
        raise ConfigError(
            f'optim_wrapper.max_skips works with type {" or ".join(classes)}, not {name}: remove it'
        )
    return {**optim_wrapper, 'type': classes[name]}
