"""The losses for labels that are not all known as modules that configs can name."""

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmpretrain.registry import MODELS
from torch import Tensor

from ...errors import ConfigError, ConfigFileNotFoundError
from ...fileio.near_names import near_names
from ...fileio.terminal import printable
from ...layers import (
    assume_negative_loss,
    hill_loss,
    large_loss_rejection,
    selective_asymmetric_loss,
    splc_loss,
)
from .elementwise_loss import ElementwiseLoss


class PartialLabelLoss(ElementwiseLoss):
    """Base of losses that learn from unknown labels too, as from negatives that may be wrong."""


@MODELS.register_module()
class AssumeNegativeLoss(PartialLabelLoss):
    """Binary cross-entropy with unknown labels as negatives: AN, AN-LS and WAN.

    See :func:`mmpretrain_mldecoder.layers.assume_negative_loss`.

    Args:
        smoothing (float): Label smoothing in ``[0, 0.5]``; 0.1 is AN-LS. Defaults to 0.0.
        weak (bool): Whether unknown labels are divided by the other classes, ``C - 1``, as in WAN:
            with one positive per image both sides weigh the same. Defaults to False.
        **kwargs: ``reduction`` and ``loss_weight`` of :class:`ElementwiseLoss`.
    """

    def __init__(self, smoothing: float = 0.0, weak: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.smoothing = smoothing
        self.weak = weak

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        weight = 1 / max(pred.shape[1] - 1, 1) if self.weak else 1.0
        return assume_negative_loss(pred, target, self.smoothing, weight)


@MODELS.register_module()
class SelectiveAsymmetricLoss(PartialLabelLoss):
    """Class-aware selective loss (CSL): unknown labels are negatives, or left out if they may be 1.

    See :func:`mmpretrain_mldecoder.layers.selective_asymmetric_loss`. The ``topk * B`` labels that
    the likelihood leaves out are of the batch of one GPU.

    Args:
        prior (str, optional): JSON file with how often each class is present, by name, as
            ``mmpretrain_mldecoder.apis.write_class_prior`` makes it. It is read in training only.
            Defaults to None: the likelihood alone selects, and with ``topk=0`` too all unknown
            labels are negatives.
        prior_threshold (float): Unknown labels of a class above it are left out. Defaults to 0.05.
        topk (int): Per image of the batch, at least 0. Defaults to 5.
        gamma_unknown (float): Focusing exponent of the unknown labels. Defaults to 2.0.
        gamma_neg (float): Of known negatives. Defaults to 1.0.
        gamma_pos (float): Of positives. Defaults to 0.0.
        clip (float): Probability margin of negatives, in ``[0, 1)``. Defaults to 0.0.
        **kwargs: ``reduction`` and ``loss_weight`` of :class:`ElementwiseLoss`.

    Raises:
        ConfigFileNotFoundError: When called, if there is no such file.
        ConfigError: When called, if it is none, or not of the classes of the training.
    """

    def __init__(
        self,
        prior: str | None = None,
        prior_threshold: float = 0.05,
        topk: int = 5,
        gamma_unknown: float = 2.0,
        gamma_neg: float = 1.0,
        gamma_pos: float = 0.0,
        clip: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.prior = prior
        self.settings = dict(
            prior_threshold=prior_threshold,
            topk=topk,
            gamma_unknown=gamma_unknown,
            gamma_neg=gamma_neg,
            gamma_pos=gamma_pos,
            clip=clip,
        )

        self.register_buffer('_priors', None, persistent=False)

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        # Not by __init__: a model that is tested or exported needs no file.
        if self.prior is not None and self._priors is None:
            self._priors = torch.tensor(self._read_priors(pred.shape[1]), device=pred.device)
        return selective_asymmetric_loss(pred, target, self._priors, **self.settings)

    def _read_priors(self, num_classes: int) -> list[float]:
        """Return the prior of each class, in the order of the training's."""
        found = read_class_prior(self.prior)
        info = MessageHub.get_current_instance().get_info('dataset_meta') or {}
        # Names are known in a training alone, not in the check at its start, which has a copy.
        names = [str(name) for name in info.get('classes') or found]
        other = sorted(set(names) ^ set(found))
        if other or len(names) != num_classes:
            which = ''
            if other:
                near = near_names(other[0], other[1:])
                which = f', and only one of them has {printable(other[0])!r}{near}'
            raise ConfigError(
                f'prior = {self.prior!r} has {len(found)} classes, the training has '
                f'{num_classes}{which}: make it from a training with the same classes'
            )
        return [found[name] for name in names]


@MODELS.register_module()
class HillLoss(PartialLabelLoss):
    """Hill loss of unknown labels, see :func:`mmpretrain_mldecoder.layers.hill_loss`.

    Args:
        lamb (float): Lambda of the paper. Defaults to 1.5.
        margin (float): Taken from the logits of positives. Defaults to 1.0.
        gamma (float): Focusing exponent, at least 1. Defaults to 2.0.
        **kwargs: ``reduction`` and ``loss_weight`` of :class:`ElementwiseLoss`.
    """

    def __init__(self, lamb: float = 1.5, margin: float = 1.0, gamma: float = 2.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.settings = dict(lamb=lamb, margin=margin, gamma=gamma)

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        return hill_loss(pred, target, **self.settings)


class EpochLoss(PartialLabelLoss):
    """Base of losses that change with the epoch, which MMEngine announces to all ranks."""

    @property
    def epoch(self) -> int:
        """The epoch of the training, from 0; 0 outside of one, and in one by iterations."""
        return MessageHub.get_current_instance().get_info('epoch') or 0


@MODELS.register_module()
class SPLCLoss(EpochLoss):
    """Self-paced loss correction: unknown labels that the model finds present become positives.

    See :func:`mmpretrain_mldecoder.layers.splc_loss`.

    Args:
        tau (float): Probability above which an unknown label is a positive. Defaults to 0.6.
        change_epoch (int): Epoch from which that is so, from 0; all unknown labels are negatives
            before. Defaults to 1.
        margin (float): Taken from the logits of known positives. Defaults to 1.0.
        gamma (float): Focusing exponent, at least 1. Defaults to 2.0.
        **kwargs: ``reduction`` and ``loss_weight`` of :class:`ElementwiseLoss`.
    """

    def __init__(
        self,
        tau: float = 0.6,
        change_epoch: int = 1,
        margin: float = 1.0,
        gamma: float = 2.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.change_epoch = change_epoch
        self.settings = dict(tau=tau, margin=margin, gamma=gamma)

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        is_correcting = self.epoch >= self.change_epoch
        return splc_loss(pred, target, is_correcting, **self.settings)


@MODELS.register_module()
class LargeLossRejection(EpochLoss):
    """Unknown labels are negatives, but for more and more of those with the largest loss (LL-R).

    In epoch ``t``, from 0, ``t * delta * B * C`` unknown labels of the batch of one GPU, rounded
    up, have no loss, see :func:`mmpretrain_mldecoder.layers.large_loss_rejection`.

    Args:
        delta (float): Growth of the fraction with each epoch; the authors' settings are from 0.001
            to 0.005. Defaults to 0.002.
        **kwargs: ``reduction`` and ``loss_weight`` of :class:`ElementwiseLoss`.
    """

    def __init__(self, delta: float = 0.002, **kwargs: Any):
        super().__init__(**kwargs)
        self.delta = delta

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        return large_loss_rejection(pred, target, self.epoch * self.delta)


def read_class_prior(path: str) -> dict[str, float]:
    """Read how often each class is present, by name; raises as ``SelectiveAsymmetricLoss``."""
    try:
        found = json.loads(Path(path).read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ConfigFileNotFoundError(
            f'prior = {path!r}: there is no such file. Write it with '
            'mmpretrain_mldecoder.apis.write_class_prior, or remove the key'
        ) from None
    except ValueError as error:
        raise ConfigError(f'prior = {path!r} is not JSON in UTF-8: {error}') from error
    if not isinstance(found, dict) or not found:
        raise ConfigError(f'prior = {path!r} must be a JSON object of class names and numbers')
    for name, value in found.items():
        # A bool is a number to Python; `not` because nan compares false.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigError(
                f'prior = {path!r}: class {printable(name)!r} must have a number in [0, 1], but '
                f'has {value!r}'
            )
    return found
