"""Losses registered in MMPretrain's ``MODELS``."""

from .asymmetric_loss import DetachedAsymmetricLoss
from .counted_loss import CountedLoss
from .partial_label_losses import (
    AssumeNegativeLoss,
    EpochLoss,
    HillLoss,
    LargeLossRejection,
    PartialLabelLoss,
    SelectiveAsymmetricLoss,
    SPLCLoss,
)
from .timm_loss import TIMMLoss

__all__ = [
    'AssumeNegativeLoss',
    'CountedLoss',
    'DetachedAsymmetricLoss',
    'EpochLoss',
    'HillLoss',
    'LargeLossRejection',
    'PartialLabelLoss',
    'SPLCLoss',
    'SelectiveAsymmetricLoss',
    'TIMMLoss',
]
