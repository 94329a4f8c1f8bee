"""The asymmetric loss as a module that configs can name."""

from mmpretrain.registry import MODELS
from torch import Tensor

from ...layers import asymmetric_loss
from .elementwise_loss import ElementwiseLoss


@MODELS.register_module()
class DetachedAsymmetricLoss(ElementwiseLoss):
    """Asymmetric loss whose focusing weight takes no part in the gradient.

    See :func:`mmpretrain_mldecoder.layers.asymmetric_loss`; unknown labels (-1) are left out.
    MMPretrain's ``AsymmetricLoss`` has the same values, but differentiates the focusing weight too,
    which the ML-Decoder recipe does not.

    Args:
        gamma_neg (float): Focusing exponent of the negatives, at least 0. Defaults to 4.0.
        gamma_pos (float): Focusing exponent of the positives, at least 0. Defaults to 0.0.
        clip (float): Probability margin of the negatives, in ``[0, 1)``. Defaults to 0.05.
        reduction (str): See :class:`ElementwiseLoss`. Defaults to 'sum'.
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
        super().__init__(reduction, loss_weight)
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        return asymmetric_loss(pred, target, self.gamma_neg, self.gamma_pos, self.clip)
