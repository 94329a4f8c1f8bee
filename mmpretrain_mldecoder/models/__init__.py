"""Backbones, heads, losses and test-time augmentation, registered in MMPretrain's ``MODELS``."""

from . import backbones, heads, losses, tta

__all__ = ['backbones', 'heads', 'losses', 'tta']
