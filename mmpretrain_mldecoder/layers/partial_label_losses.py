"""Losses for labels that are not all known.

All take logits and targets ``(B, C)``: 1 present, 0 absent, -1 unknown, a value between 0 and 1 for
a mixed sample. They return the loss ``(B, C)`` of every class of every sample, not reduced, in
float32 at least, and raise a ``ValueError`` if the shapes differ. The papers know two kinds of
labels, of which 0 may be a missing positive: what they do there is done at -1 here, and a known
negative keeps the plain loss.
"""

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from .asymmetric_loss import asymmetric_loss


def assume_negative_loss(
    logits: Tensor, targets: Tensor, smoothing: float = 0.0, unknown_weight: float = 1.0
) -> Tensor:
    """Binary cross-entropy in which unknown labels are negatives (AN, AN-LS, WAN).

    Source: Cole et al., "Multi-Label Learning from Single Positive Labels", arXiv:2106.09708.
    Differs from the authors' code in: logits in place of probabilities, so no 1e-5 in the
    logarithm; not divided by ``B * C``.

    Args:
        logits (Tensor): Class scores before the sigmoid.
        targets (Tensor): See the module.
        smoothing (float): Share of the opposite label in every label, in ``[0, 0.5]``. The paper
            has 0.1 (AN-LS). Defaults to 0.0.
        unknown_weight (float): Factor on unknown labels; ``1 / (C - 1)`` is WAN. Defaults to 1.0.
    """
    if not 0 <= smoothing <= 0.5:
        raise ValueError(f'smoothing must be in [0, 0.5], but is {smoothing}.')
    logits, positive, unknown = _checked(logits, targets)
    smooth = positive * (1 - 2 * smoothing) + smoothing
    loss = F.binary_cross_entropy_with_logits(logits, smooth, reduction='none')
    return torch.where(unknown, unknown_weight * loss, loss)


def large_loss_rejection(logits: Tensor, targets: Tensor, fraction: float) -> Tensor:
    """Cross-entropy with unknown labels as negatives, but for those of the largest losses (LL-R).

    Source: Kim et al., "Large Loss Matters in Weakly Supervised Multi-Label Classification",
    arXiv:2206.03740. Differs from the authors' code in: of equal losses at the limit some stay;
    known labels stay where fewer are unknown than are to be rejected; not divided by ``B * C``.

    Args:
        logits (Tensor): Class scores before the sigmoid.
        targets (Tensor): See the module.
        fraction (float): ``ceil(fraction * B * C)`` unknown labels of the batch have no loss.
    """
    loss = assume_negative_loss(logits, targets)
    rejected = _highest_unknown(logits, targets, ceil(fraction * targets.numel()))
    return torch.where(rejected, 0, loss)


def selective_asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    prior: Tensor | None = None,
    prior_threshold: float = 0.05,
    topk: int = 5,
    gamma_unknown: float = 2.0,
    gamma_neg: float = 1.0,
    gamma_pos: float = 0.0,
    clip: float = 0.0,
) -> Tensor:
    """Asymmetric loss in which unknown labels are negatives, unless they may well be positive.

    An unknown label has no loss in a class whose prior is above the threshold, and where its logit
    is among the ``topk * B`` highest of all unknown ones in the batch.

    Source: Ben-Baruch et al., "Multi-label Classification with Partial Annotations using
    Class-aware Selective Loss", arXiv:2110.10955; defaults are those of the authors' code.

    Args:
        logits (Tensor): Class scores before the sigmoid.
        targets (Tensor): See the module.
        prior (Tensor, optional): How often a class is present, ``(C,)`` in ``[0, 1]``. Defaults to
            None: only the likelihood selects.
        prior_threshold (float): In ``[0, 1]``. Defaults to 0.05.
        topk (int): Per image of the batch, at least 0. Defaults to 5.
        gamma_unknown (float): Focusing exponent of the unknown ones. Defaults to 2.0.
        gamma_neg (float): See :func:`asymmetric_loss`. Defaults to 1.0.
        gamma_pos (float): See :func:`asymmetric_loss`. Defaults to 0.0.
        clip (float): See :func:`asymmetric_loss`. Defaults to 0.0.
    """
    known = asymmetric_loss(logits, targets, gamma_neg, gamma_pos, clip)
    as_negative = asymmetric_loss(logits, torch.zeros_like(targets), gamma_unknown, 0, clip)
    left_out = _highest_unknown(logits, targets, topk * len(logits))
    if prior is not None:
        left_out = left_out | (prior > prior_threshold)
    return torch.where(targets < 0, torch.where(left_out, 0, as_negative), known)


def hill_loss(
    logits: Tensor, targets: Tensor, lamb: float = 1.5, margin: float = 1.0, gamma: float = 2.0
) -> Tensor:
    """Hill loss ``(lamb - p) * p ** 2`` of unknown labels, whose gradient falls where p is high.

    Positives have a focal loss with a margin, known negatives (our choice) the focal loss.

    Source: Zhang et al., "Simple and Robust Loss Design for Multi-Label Learning with Missing
    Labels", arXiv:2112.07368.

    Args:
        logits (Tensor): Class scores before the sigmoid.
        targets (Tensor): See the module.
        lamb (float): Lambda of the Hill loss. Defaults to 1.5.
        margin (float): Taken from the logits of positives. Defaults to 1.0.
        gamma (float): Focusing exponent, at least 1. Defaults to 2.0.
    """
    logits, positive, unknown = _checked(logits, targets)
    probability = logits.sigmoid()
    negative = torch.where(unknown, (lamb - probability) * probability**2, _focal(-logits, gamma))
    return positive * _focal(logits - margin, gamma) + (1 - positive) * negative


def splc_loss(
    logits: Tensor,
    targets: Tensor,
    is_correcting: bool = True,
    tau: float = 0.6,
    margin: float = 1.0,
    gamma: float = 2.0,
) -> Tensor:
    """Focal loss with a margin, in which unknown labels of a high probability are positives (SPLC).

    Source: as of :func:`hill_loss`.

    Args:
        logits (Tensor): Class scores before the sigmoid.
        targets (Tensor): See the module.
        is_correcting (bool): Whether an unknown label above ``tau`` is a positive, without margin;
            else all are negatives, as in the paper's first epoch. Defaults to True.
        tau (float): Probability in ``[0, 1]``. Defaults to 0.6.
        margin (float): Taken from the logits of known positives. Defaults to 1.0.
        gamma (float): Focusing exponent, at least 1. Defaults to 2.0.
    """
    logits, positive, unknown = _checked(logits, targets)
    loss = positive * _focal(logits - margin, gamma) + (1 - positive) * _focal(-logits, gamma)
    if not is_correcting:
        return loss
    return torch.where(unknown & (logits.sigmoid() > tau), _focal(logits, gamma), loss)


def _checked(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits and the share of the positive in float32 at least, and where it is unknown."""
    if logits.shape != targets.shape:
        raise ValueError(
            f'logits and targets must have one shape, but have {tuple(logits.shape)} and '
            f'{tuple(targets.shape)}.'
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits, targets.clamp(min=0).to(logits.dtype), targets < 0


def _focal(logits: Tensor, gamma: float) -> Tensor:
    """Return the focal loss of a label whose logit this is, its weight in the gradient too."""
    return -((-logits).sigmoid() ** gamma) * F.logsigmoid(logits)


def _highest_unknown(logits: Tensor, targets: Tensor, number: int) -> Tensor:
    """Return where, of all samples together, the unknown labels with the highest logits are."""
    unknown = targets < 0
    among = torch.where(unknown, logits.detach(), -torch.inf).flatten()
    highest = among.topk(min(number, among.numel())).indices
    mask = torch.zeros_like(among, dtype=torch.bool)
    mask[highest] = True
    return mask.view_as(unknown) & unknown
