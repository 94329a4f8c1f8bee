"""Backbones, necks, heads, losses and TTA, registered in MMPretrain's ``MODELS``."""

from . import backbones, heads, losses, necks, tta

__all__ = ['backbones', 'heads', 'losses', 'necks', 'tta']
