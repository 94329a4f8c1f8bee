"""The asymmetric loss as a module that configs can name."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmpretrain.registry import MODELS
from torch import Tensor

from ...layers import asymmetric_loss
from .counted_loss import CountedLoss, class_weights, given_weights, is_counted


@MODELS.register_module()
class DetachedAsymmetricLoss(CountedLoss):
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
        pos_weight (float | Sequence[float] | str | Mapping, optional): Factor on the loss of
            positives, at least 0: one for all classes or one per class; or ``'auto'``, from the
            labels of the training data, or a dict of settings of that, see
            :func:`.counted_loss.class_weights`. Defaults to None, no factor.

    Raises:
        ValueError: If ``reduction`` is not one of the three, or ``pos_weight`` is none; when
            called, see :func:`~mmpretrain_mldecoder.layers.asymmetric_loss`, or if ``pos_weight``
            is still to be computed.
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 0.0,
        clip: float = 0.05,
        reduction: str = 'sum',
        loss_weight: float = 1.0,
        pos_weight: float | Sequence[float] | str | Mapping[str, Any] | None = None,
    ):
        counted = dict(pos_weight=pos_weight) if is_counted(pos_weight) else {}
        super().__init__(counted, reduction, loss_weight)
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip
        # A weight is the config's or the data's, no state of the training.
        weights = given_weights('pos_weight', pos_weight)
        self.register_buffer('pos_weight', weights, persistent=False)

    def set_class_counts(self, positives: Tensor, negatives: Tensor) -> dict[str, Tensor]:
        weights = class_weights('pos_weight', self.counted['pos_weight'], positives, negatives)
        self.pos_weight, self._waits = weights, False
        return dict(pos_weight=weights)

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        settings = (self.gamma_neg, self.gamma_pos, self.clip, self.pos_weight)
        return asymmetric_loss(pred, target, *settings)
