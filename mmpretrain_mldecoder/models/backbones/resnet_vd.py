"""ResNet-vd, the ResNet-D that PaddleClas publishes weights for."""

from mmcv.cnn import build_conv_layer, build_norm_layer
from mmpretrain.models.backbones import ResNetV1d
from mmpretrain.models.backbones.resnet import Bottleneck, ResLayer
from mmpretrain.registry import MODELS
from torch import nn


@MODELS.register_module()
class ResNetVd(ResNetV1d):
    """Turn an image into feature maps with PaddleClas' ResNet-vd.

    Depths 50, 101 and 152 are the host's ``ResNetV1d`` (three 3x3 convolutions as the stem, a 2x2
    average pool before a strided shortcut), weight for weight. Two things differ:

    - Depths 18 and 34: the first block of stage 1 also projects its shortcut by a 1x1 convolution,
      although neither the stride nor the channels ask for it.
    - Depth 200 exists, with stages of (3, 12, 48, 3) blocks; the original ResNet-200 has
      (3, 24, 36, 3).

    Source: He et al., "Bag of Tricks", arXiv:1812.01187v2, section 4 (ResNet-D); the two
    differences are those of PaddleClas 2.6's ``ResNet*_vd``.

    Args:
        depth (int): One of 18, 34, 50, 101, 152, 200.
        **kwargs: As in the host's ``ResNetV1d``. The model's width is ``stem_channels`` (even) and
            ``base_channels``, both 64 by default; half of both gives a half-width model.
            ``zero_init_residual`` is True by default: PaddleClas starts the last norm of a block
            at 1, the host at 0.

    Shape:
        - Input: ``(B, 3, H, W)``.
        - Output: a tuple with one map for each of ``out_indices`` (the last stage by default),
          ``(B, base_channels * 2**i * expansion, ceil(H / 2**(i + 2)), ceil(W / 2**(i + 2)))``
          for stage ``i`` in 0..3; expansion is 1 for depths 18 and 34, otherwise 4.

    Raises:
        KeyError: If there is no such depth.

    Example:
        >>> import torch
        >>> from mmpretrain_mldecoder.models.backbones import ResNetVd
        >>> ResNetVd(18, stem_channels=32, base_channels=32)(torch.zeros(1, 3, 96, 96))[0].shape
        torch.Size([1, 256, 3, 3])
    """

    arch_settings = {**ResNetV1d.arch_settings, 200: (Bottleneck, (3, 12, 48, 3))}

    def __init__(self, depth: int, **kwargs):
        super().__init__(depth=depth, **kwargs)

    def make_res_layer(self, **kwargs) -> ResLayer:
        """Build a stage whose first block always projects its shortcut."""
        stage = super().make_res_layer(**kwargs)
        first = stage[0]
        if first.downsample is None:
            first.downsample = nn.Sequential(
                build_conv_layer(
                    self.conv_cfg, first.in_channels, first.out_channels, kernel_size=1, bias=False
                ),
                build_norm_layer(self.norm_cfg, first.out_channels)[1],
            )
        return stage
