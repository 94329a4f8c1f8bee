"""The network and the losses: torch only, usable without MMPretrain."""

from .asymmetric_loss import asymmetric_loss
from .cross_attention import CrossAttention
from .group_linear import GroupLinear
from .ml_decoder import MLDecoder, MLDecoderLayer
from .partial_label_losses import (
    assume_negative_loss,
    hill_loss,
    large_loss_rejection,
    selective_asymmetric_loss,
    splc_loss,
)

__all__ = [
    'CrossAttention',
    'GroupLinear',
    'MLDecoder',
    'MLDecoderLayer',
    'assume_negative_loss',
    'asymmetric_loss',
    'hill_loss',
    'large_loss_rejection',
    'selective_asymmetric_loss',
    'splc_loss',
]
