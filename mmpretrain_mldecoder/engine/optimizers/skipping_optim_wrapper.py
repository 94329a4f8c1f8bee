"""Optimiser wrappers that leave out a step whose loss is not finite."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn

from ..distributed.agree import RankVote


class SkippingMixin:
    """Leave out a step whose loss is NaN or infinite, in this process or in another of the run.

    Neither the parameters nor the buffers change (a batch norm takes its statistics in the forward
    pass, so they are put back), nothing goes backward, and gradients that earlier steps have
    accumulated are dropped. Schedules and averages of the weights go on.

    :class:`FiniteLossHook` counts the steps and ends the training after too many.

    Args:
        max_skips (int): Steps that may be left out in the whole training, at least 1.
        **kwargs: Of the wrapper below.

    Attributes:
        skipped (bool): Whether the last step was left out.
        vote (RankVote): By which the processes agree; :class:`FiniteLossHook` gives it its own.

    Raises:
        ValueError: If ``max_skips`` is no whole number from 1 on.
    """

    def __init__(self, *, max_skips: int, **kwargs):
        if isinstance(max_skips, bool) or not isinstance(max_skips, int) or max_skips < 1:
            raise ValueError(
                f'optim_wrapper.max_skips must be a whole number from 1 on, but got {max_skips!r}; '
                'leave it out to end the training at the first loss that is not finite'
            )
        super().__init__(**kwargs)
        self.max_skips = max_skips
        self.skipped = False
        self.vote = RankVote()
        self._buffers: list[tuple[Tensor, Tensor]] = []

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Remember the buffers before the forward pass; the rest is the host's."""
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        with super().optim_context(model):
            yield

    def update_params(self, loss: Tensor, *args, **kwargs) -> None:
        """Take the step, or leave it out in all processes."""
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
    """Return the config of a wrapper with ``max_skips``, built by the class that knows the key.

    Args:
        optim_wrapper (dict): Of the host's ``OptimWrapper`` (where ``type`` is absent too) or
            ``AmpOptimWrapper``, by name or class.

    Raises:
        ValueError: If it is of another type.
    """
    wrapper_type = optim_wrapper.get('type', 'OptimWrapper')
    name = getattr(wrapper_type, '__name__', str(wrapper_type)).rpartition('.')[2]
    classes = dict(OptimWrapper=SkippingOptimWrapper, AmpOptimWrapper=SkippingAmpOptimWrapper)
    if name not in classes:
        raise ValueError(
            f'optim_wrapper.max_skips goes with the types {" and ".join(classes)}, but type is '
            f'{name}: leave it out'
        )
    return {**optim_wrapper, 'type': classes[name]}
