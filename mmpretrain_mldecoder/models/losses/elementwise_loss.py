"""Reduction of losses that have one value per class and sample."""

from mmpretrain.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

REDUCTIONS = ('none', 'mean', 'sum')


class ElementwiseLoss(nn.Module):
    """Base of losses that know unknown labels (-1) and are computed element by element.

    ``reduction='sum'`` sums over classes and samples, as the recipe does on each GPU, and leaves
    out the ``avg_factor`` on purpose: MMPretrain's heads always pass the batch size. A mean over
    the batch would divide the loss, but not the weight decay that Adam adds to the gradient.

    Args:
        reduction (str): 'sum'; 'mean', the sum over ``avg_factor`` where one is given, else the
            mean over all elements, unknown ones included; or 'none'. Defaults to 'sum'.
        loss_weight (float): Factor on the result. Defaults to 1.0.

    Raises:
        ValueError: If ``reduction`` is not one of the three.
    """

    def __init__(self, reduction: str = 'sum', loss_weight: float = 1.0):
        super().__init__()
        _check_reduction(reduction)
        self.reduction = reduction
        self.loss_weight = loss_weight

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the loss ``(B, C)`` of logits and targets ``(B, C)``."""
        raise NotImplementedError

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Return the reduced loss.

        Args:
            pred (Tensor): Logits ``(B, C)``.
            target (Tensor): Labels ``(B, C)``: 1 present, 0 absent, -1 unknown.
            weight (Tensor, optional): Weight of each sample ``(B, )`` or element ``(B, C)``.
                Defaults to None.
            avg_factor (float, optional): Divisor of the sum under 'mean', else unused. Defaults to
                None.
            reduction_override (str, optional): Used in place of ``reduction``. Defaults to None.

        Returns:
            Tensor: A scalar, or ``(B, C)`` under 'none'.
        """
        reduction = reduction_override or self.reduction
        _check_reduction(reduction)
        if weight is not None and weight.dim() == 1:
            weight = weight.unsqueeze(1)  # (B, 1)
        loss = self.elements(pred, target)
        avg_factor = avg_factor if reduction == 'mean' else None
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)


def _check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction must be one of {REDUCTIONS}, but is {reduction!r}.')
