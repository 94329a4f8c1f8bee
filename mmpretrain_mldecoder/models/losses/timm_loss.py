"""timm's multi-label losses for labels of which some are unknown."""

from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .counted_loss import CountedLoss, class_counts, class_weights, is_counted

# One value per class and sample, which can be left out of the sum.
_ELEMENTWISE = dict(
    bce='BinaryCrossEntropy',
    asl='AsymmetricLossMultiLabel',
    poly='PolyBinaryCrossEntropy',
    db='DistributionBalancedLoss',
)
# One value per batch, of sums of exponentials over the classes, or over the samples too.
_OF_BATCH = dict(zlpr='ZlprLoss', twoway='TwoWayLoss')
_TYPES = _ELEMENTWISE | _OF_BATCH

# Arguments that may be computed from the training data, and what stands in for them before.
_COUNTED: dict[str, dict[str, Any]] = dict(
    pos_weight=dict(pos_weight=None),
    weight=dict(weight=None),
    class_counts=dict(class_counts=[1], num_samples=2),
)

# Its exponential is 0 exactly, and it is finite: a row of nothing else has gradients, no NaN.
_NO_LOGIT = -1e30


@MODELS.register_module()
class TIMMLoss(CountedLoss):
    """A multi-label loss of ``timm.loss``, from which unknown labels (-1) are left out.

    ======== ============================ =======================================================
    type     class of timm                without unknown labels
    ======== ============================ =======================================================
    'bce'    ``BinaryCrossEntropy``       their elements are 0
    'asl'    ``AsymmetricLossMultiLabel`` their elements are 0
    'poly'   ``PolyBinaryCrossEntropy``   their elements are 0
    'db'     ``DistributionBalancedLoss`` their elements are 0, and they are no positives of the
                                          image in the weights of its other elements
    'zlpr'   ``ZlprLoss``                 in neither sum of an image
    'twoway' ``TwoWayLoss``               in no sum, neither of an image nor of a class; one
                                          without a known positive has no loss
    ======== ============================ =======================================================

    The first four are summed over classes and samples, see :class:`ElementwiseLoss`. The other two
    are means: ZLPR over the samples of the batch, those without known labels included; TwoWay over
    the samples, plus over the classes, that have a positive. With Adam and L2, weight decay is
    stronger relative to these, by about the batch size; ``loss_weight`` can make up for it. Both
    take a mixed target for a positive above 0.5, and TwoWay's logits rank, their sigmoid is no
    probability.

    Args:
        loss_type (str): One of the table.
        reduction (str, optional): Of the first four types, see :class:`ElementwiseLoss`. Defaults
            to None, their 'sum'.
        loss_weight (float): Factor on the result. Defaults to 1.0.
        **arguments: Of timm's class, with its defaults: for example ``gamma_neg``; numbers per
            class as lists. 'db' needs ``class_counts``, the images that have each class, and
            ``num_samples``, the images that were counted; ``class_counts='auto'`` gives both from
            the training data. ``pos_weight`` and ``weight`` of 'bce' and 'asl' may be ``'auto'`` or
            a dict of settings, too: see :func:`.counted_loss.class_weights`.

    Raises:
        ImportError: If timm is missing or too old.
        ValueError: If ``loss_type`` is unknown, or has no ``reduction`` or ``sum_classes``; when
            called, if numbers per class are of another number of classes, or an argument is still
            to be computed.
    """

    def __init__(
        self,
        loss_type: str,
        reduction: str | None = None,
        loss_weight: float = 1.0,
        **arguments: Any,
    ):
        if loss_type not in _TYPES:
            raise ValueError(f'loss_type must be one of {(*_TYPES,)}, but is {loss_type!r}.')
        if loss_type in _OF_BATCH and reduction is not None:
            raise ValueError(
                f'reduction={reduction!r} is none of {loss_type!r}, which is a mean over the batch '
                'as it is: remove it, and scale with loss_weight.'
            )
        if 'sum_classes' in arguments:
            raise ValueError("sum_classes is none of TIMMLoss: set reduction='mean' instead.")
        counted = {
            name: value
            for name, value in arguments.items()
            if name in _COUNTED and is_counted(value)
        }
        super().__init__(counted, reduction or 'sum', loss_weight)
        self.loss_type = loss_type
        if loss_type in _ELEMENTWISE:
            arguments['reduction'] = 'none'
        for name, value in arguments.items():
            if isinstance(value, list | tuple):
                arguments[name] = torch.tensor(value, dtype=torch.float32)
        self._arguments = arguments
        waiting = [_COUNTED[name] for name in counted]
        self._build({key: value for part in waiting for key, value in part.items()})

    def _build(self, counted: dict[str, Any]) -> None:
        self.criterion = _class_of_timm(self.loss_type)(**self._arguments | counted)
        # Weights and counts are the config's or the data's, no state of the training.
        for name, buffer in list(self.criterion.named_buffers()):
            self.criterion.register_buffer(name, buffer, persistent=False)

    def set_class_counts(self, positives: Tensor, negatives: Tensor) -> dict[str, Tensor]:
        found: dict[str, Any] = {}
        for name, value in self.counted.items():
            if name == 'class_counts':
                found['class_counts'], found['num_samples'] = class_counts(positives, negatives)
            else:
                found[name] = class_weights(name, value, positives, negatives)
        self._build(found)
        self._waits = False
        return {name: found[name] for name in self.counted}

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        self._check_lengths(pred.shape[1])
        pred, target, known = _float_and_known(pred, target)
        # Masked before, too: the gradient of any logit is finite there, and so 0 after.
        loss = self.criterion(torch.where(known, pred, 0), target)
        return torch.where(known, loss, 0)

    def forward(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """Return the loss; ``kwargs`` are for the elementwise types, see the base."""
        if self.loss_type in _ELEMENTWISE:
            return super().forward(pred, target, **kwargs)
        pred, target, known = _float_and_known(pred, target)
        return self.loss_weight * self.criterion(torch.where(known, pred, _NO_LOGIT), target)

    def _check_lengths(self, num_classes: int) -> None:
        for name, buffer in self.criterion.named_buffers():
            if buffer.dim() == 1 and len(buffer) != num_classes:
                name = dict(freq_inv='class_counts').get(name, name)
                raise ValueError(
                    f'{name} has {len(buffer)} numbers for {num_classes} classes: give one per '
                    'class, in their order.'
                )


def _float_and_known(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return float32 logits, targets in which unknown is 0, and where labels are known."""
    pred = pred.to(torch.promote_types(pred.dtype, torch.float32))
    return pred, target.clamp(min=0).to(pred.dtype), target >= 0


def _class_of_timm(loss_type: str) -> type[nn.Module]:
    try:
        from timm import loss
        from timm.loss import MULTI_LABEL_LOSS_TYPES  # noqa: F401  (older ones have two of the six)
    except ImportError as error:
        raise ImportError(
            f"loss_type={loss_type!r} needs timm >= 1.0.31: pip install -e '.[timm]'"
        ) from error
    return getattr(loss, _TYPES[loss_type])
