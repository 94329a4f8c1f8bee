"""The network and the loss: torch only, usable without MMPretrain."""

from .asymmetric_loss import asymmetric_loss
from .cross_attention import CrossAttention
from .group_linear import GroupLinear
from .ml_decoder import MLDecoder, MLDecoderLayer

__all__ = ['CrossAttention', 'GroupLinear', 'MLDecoder', 'MLDecoderLayer', 'asymmetric_loss']
