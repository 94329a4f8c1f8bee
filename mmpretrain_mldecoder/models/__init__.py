"""Backbones, heads and losses registered in MMPretrain's ``MODELS``."""

from . import backbones, heads, losses

__all__ = ['backbones', 'heads', 'losses']
