"""The asymmetric loss as a module that configs can name."""

from mmpretrain.models.losses.utils import weight_reduce_loss
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...layers import asymmetric_loss

REDUCTIONS = ('none', 'mean', 'sum')


@MODELS.register_module()
class DetachedAsymmetricLoss(nn.Module):
    """Asymmetric loss whose focusing weight takes no part in the gradient.

    See :func:`mmpretrain_mldecoder.layers.asymmetric_loss`. MMPretrain's ``AsymmetricLoss`` has the
    same values, but differentiates the focusing weight too, which the ML-Decoder recipe does not.

    ``reduction='sum'`` sums over classes and samples, as the recipe does on each GPU, and leaves
    out the ``avg_factor`` on purpose: MMPretrain's heads always pass the batch size. A mean over
    the batch would divide the loss, but not the weight decay that Adam adds to the gradient.

    Args:
        gamma_neg (float): Focusing exponent of the negatives, at least 0. Defaults to 4.0.
        gamma_pos (float): Focusing exponent of the positives, at least 0. Defaults to 0.0.
        clip (float): Probability margin of the negatives, in ``[0, 1)``. Defaults to 0.05.
        reduction (str): 'sum'; 'mean', the sum over ``avg_factor`` where one is given, else the
            mean over all elements, unknown ones included; or 'none'. Defaults to 'sum'.
        loss_weight (float): Factor on the result. Defaults to 1.0.

    Raises:
        ValueError: If ``reduction`` is not one of the three; when called, see
            :func:`~mmpretrain_mldecoder.layers.asymmetric_loss`.
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 0.0,
        clip: float = 0.05,
        reduction: str = 'sum',
        loss_weight: float = 1.0,
    ):
        super().__init__()
        _check_reduction(reduction)
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip
        self.reduction = reduction
        self.loss_weight = loss_weight

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
        loss = asymmetric_loss(pred, target, self.gamma_neg, self.gamma_pos, self.clip)
        avg_factor = avg_factor if reduction == 'mean' else None
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)


def _check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction must be one of {REDUCTIONS}, but is {reduction!r}.')
