"""Losses registered in MMPretrain's ``MODELS``."""

from .asymmetric_loss import DetachedAsymmetricLoss
from .timm_loss import TIMMLoss

__all__ = ['DetachedAsymmetricLoss', 'TIMMLoss']
