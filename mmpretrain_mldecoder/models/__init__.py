"""Backbones, heads and losses registered in MMPretrain's ``MODELS``."""
