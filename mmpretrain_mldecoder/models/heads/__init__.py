"""Heads registered in MMPretrain's ``MODELS``."""

from .ml_decoder_head import MLDecoderClsHead, MLDecoderHead

__all__ = ['MLDecoderClsHead', 'MLDecoderHead']
