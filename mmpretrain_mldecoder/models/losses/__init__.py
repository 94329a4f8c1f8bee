"""Losses registered in MMPretrain's ``MODELS``."""

from .asymmetric_loss import DetachedAsymmetricLoss

__all__ = ['DetachedAsymmetricLoss']
