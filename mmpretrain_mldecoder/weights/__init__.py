"""Published checkpoints by name: ``paddleclas://``, ``timm://``, ``miil://``."""

from .published import load_from_published

__all__ = ['load_from_published']
