"""Necks."""

from mmpretrain.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class FirstPatch(nn.Module):
    """Keep the first position of each map: ``(B, C, H, W)`` becomes ``(B, C, 1, 1)``.

    PaddleClas removes the class token of CLIP's ViT and then takes the first of the remaining
    tokens, meant as the class token (``forward_features`` of its ``foundation_vit.py``, release
    2.6.0 and develop). So its ML-Decoder reads one token, that of the top left patch, and so do the
    published weights. Made for these; other models should read the whole map.
    """

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(feat[..., :1, :1] for feat in feats)
