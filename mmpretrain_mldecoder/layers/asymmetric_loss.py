"""Asymmetric loss for labels of which most are negative.

Source: Ridnik et al., "Asymmetric Loss For Multi-Label Classification", arXiv:2009.14119.
"""

import torch
from torch import Tensor

# Lowest probability whose logarithm is taken, as in the authors' code. Below it a positive gives
# a constant loss and no gradient.
MIN_PROBABILITY = 1e-8


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return the loss of every class of every sample, not reduced.

    With ``p`` the sigmoid of the logit, the class has probability ``p`` of its own label where the
    label is 1, and ``min(1 - p + clip, 1)`` where it is 0: a negative below ``clip`` costs nothing.
    That probability ``pt`` gives the loss ``-(1 - pt) ** gamma * log(pt)``. With ``clip`` and both
    gammas 0 this is the binary cross-entropy.

    The focusing weight ``(1 - pt) ** gamma`` is a constant in the backward pass, as in the authors'
    training code (``disable_torch_grad_focal_loss=True``) and unlike the formula of the paper: the
    values agree, the gradients do not.

    Computed in float32 at least, whatever the type of the logits, so it is safe under autocast.

    Args:
        logits (Tensor): Class scores before the sigmoid.
        targets (Tensor): 1 for a label that is present, 0 for one that is absent, a value between
            for a mixed sample, and -1 for unknown, which gives exactly 0 loss and 0 gradient.
        gamma_neg (float): Focusing exponent of the negatives, at least 0. Defaults to 4.0.
        gamma_pos (float): Focusing exponent of the positives, at least 0. Defaults to 0.0.
        clip (float): Probability margin of the negatives, in ``[0, 1)``. Defaults to 0.05.
        pos_weight (Tensor, optional): Factor on the loss of positives, as in
            ``binary_cross_entropy_with_logits``. Defaults to None, no factor.

    Shape:
        - logits, targets: ``(B, C)``.
        - pos_weight: ``(C,)``, or ``()`` for all classes.
        - Output: ``(B, C)``, at least 0.

    Raises:
        ValueError: If the shapes differ or an argument is outside its range.
    """
    if logits.shape != targets.shape:
        raise ValueError(
            f'logits and targets must have one shape, but have {tuple(logits.shape)} and '
            f'{tuple(targets.shape)}.'
        )
    if gamma_neg < 0 or gamma_pos < 0:
        raise ValueError(
            f'gamma_neg and gamma_pos must be at least 0, but are {gamma_neg} and {gamma_pos}.'
        )
    if not 0 <= clip < 1:
        raise ValueError(f'clip must be in [0, 1), but is {clip}.')
    if pos_weight is not None and pos_weight.shape not in ((), logits.shape[1:]):
        raise ValueError(
            f'pos_weight has {pos_weight.numel()} numbers for {logits.shape[1]} classes: give one '
            'per class, in their order.'
        )

    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    targets = targets.to(logits.dtype)
    positive = targets.clamp(min=0)
    negative = torch.where(targets < 0, 0, 1 - targets)

    probability = logits.sigmoid()
    # sigmoid(-x) is 1 - sigmoid(x) without the loss of digits where that is near 0.
    probability_neg = ((-logits).sigmoid() + clip).clamp(max=1)
    log_likelihood = positive * probability.clamp(min=MIN_PROBABILITY).log()
    if pos_weight is not None:
        log_likelihood = log_likelihood * pos_weight
    log_likelihood = log_likelihood + negative * probability_neg.clamp(min=MIN_PROBABILITY).log()

    with torch.no_grad():
        own_probability = positive * probability + negative * probability_neg
        gamma = gamma_pos * positive + gamma_neg * negative
        focus = (1 - own_probability) ** gamma
    return -log_likelihood * focus
