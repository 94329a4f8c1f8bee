"""Losses of which arguments may be computed from the labels of the training data."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .elementwise_loss import ElementwiseLoss


class CountedLoss(ElementwiseLoss):
    """Base of losses with arguments that may be ``'auto'``: computed when a training starts.

    ``ClassCountsHook`` of the engine calls :meth:`set_class_counts`, before anything is computed.
    What is tested or exported needs no counts.

    Args:
        counted (Mapping): Those arguments, each with ``'auto'`` or a dict of settings.
        reduction (str): See :class:`ElementwiseLoss`. Defaults to 'sum'.
        loss_weight (float): Factor on the result. Defaults to 1.0.
    """

    def __init__(
        self, counted: Mapping[str, Any], reduction: str = 'sum', loss_weight: float = 1.0
    ):
        super().__init__(reduction, loss_weight)
        self.counted = counted
        self._waits = bool(counted)

    def set_class_counts(self, positives: Tensor, negatives: Tensor) -> dict[str, Tensor]:
        """Set the arguments that depend on the labels to train with, and return them.

        Args:
            positives (Tensor): Images known to have each class, ``(C,)``.
            negatives (Tensor): Images known to lack it, ``(C,)``.

        Raises:
            ImportError: If timm is missing or too old.
            ValueError: If a setting is none of timm's, or no label is known.
        """
        raise NotImplementedError

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the reduced loss, see :meth:`ElementwiseLoss.forward`."""
        if self._waits:
            name = next(iter(self.counted))
            raise ValueError(
                f'{name}={self.counted[name]!r} needs the labels to train with: train with '
                "PortableRunner, or add dict(type='ClassCountsHook') to custom_hooks"
            )
        return super().forward(*args, **kwargs)


def is_counted(value: object) -> bool:
    """Return whether an argument is to be computed from the labels to train with."""
    return value == 'auto' if isinstance(value, str) else isinstance(value, Mapping)


def class_counts(positives: Tensor, negatives: Tensor) -> tuple[Tensor, int]:
    """Return how many images have each class and how many there are, as timm counts.

    A class whose labels are known in part counts as if its known share held for all images.
    """
    known = positives + negatives
    number = int(known.max())
    return positives.double() * number / known.clamp(min=1), number


def class_weights(name: str, value: object, positives: Tensor, negatives: Tensor) -> Tensor:
    """Return ``pos_weight`` or ``weight`` ``(C,)`` by ``timm.loss.compute_class_weights``.

    Args:
        name (str): ``'pos_weight'`` or ``'weight'``.
        value (str | Mapping): ``'auto'``, which is timm's defaults, or arguments of timm's:
            ``method`` (of ``pos_weight`` ``'neg_pos'``, the default; of ``weight`` ``'inv_freq'``,
            the default, or ``'effective_num'``), ``power``, ``beta``, ``max_weight``.
        positives (Tensor): Images known to have each class, ``(C,)``.
        negatives (Tensor): Images known to lack it, ``(C,)``.
    """
    try:
        from timm.loss.class_weights import CLASS_WEIGHT_METHOD_KINDS, compute_class_weights
    except ImportError as error:
        raise ImportError(
            f"{name}={value!r} needs timm >= 1.0.31: pip install -e '.[timm]', or give {name} as a "
            'list, a number per class'
        ) from error
    kind = dict(weight='class_weight').get(name, name)
    methods = [method for method, its in CLASS_WEIGHT_METHOD_KINDS.items() if its == kind]
    settings = dict(method=methods[0]) | (dict(value) if isinstance(value, Mapping) else {})
    if settings['method'] not in methods:
        raise ValueError(
            f'{name}.method = {settings["method"]!r}: it must be {" or ".join(methods)}'
        )
    counts, number = class_counts(positives, negatives)
    try:
        return compute_class_weights(counts, number, **settings)[1]
    except (TypeError, ValueError) as error:
        raise ValueError(f'{name} = {settings}: {error}') from error


def given_weights(name: str, value: object) -> Tensor | None:
    """Return the weights of a config, a number or one per class, as a tensor."""
    if value is None or is_counted(value):
        return None
    try:
        weights = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        weights = torch.tensor(torch.nan)
    if weights.dim() > 1 or not (weights.isfinite() & (weights >= 0)).all():
        raise ValueError(
            f"{name} must be a number of at least 0, a list of one per class, 'auto', or a dict of "
            f'settings of that, but is {value!r}'
        )
    return weights
