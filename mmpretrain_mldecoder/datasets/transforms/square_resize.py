"""Squash an image to a square the way Pillow does, at the speed of torch's uint8 kernel."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from .bgr_image import bgr_image


@TRANSFORMS.register_module()
class SquareResize(BaseTransform):
    """Resize to ``scale x scale`` pixels, bilinear with antialias, aspect ratio not kept.

    The recipe resizes with Pillow, whose bilinear filter widens when it shrinks an image.
    OpenCV's (the host's ``Resize``) does not. torch has Pillow's filter for uint8: at most 1 grey
    level away on photos, 0.003 on average. (Pillow 13 filters some tall images in the other
    order of axes, which alone moves the rounding by 0.2 on average; the order here is Pillow 11's.)
    Boxes and masks in the result dict are not resized.

    Required keys: ``img`` (BGR uint8, ``(H, W, 3)``).

    Modified keys: ``img`` (a new array), ``img_shape``.

    Added keys, as the host's ``Resize`` sets them: ``scale`` and ``scale_factor``
    (width, height), ``keep_ratio`` (False).

    Source: Ridnik et al., "ML-Decoder", arXiv:2111.12933, training details for MS-COCO.

    Args:
        scale (int): Side of the result in pixels, at least 1.
        antialias (bool): Whether to filter as Pillow does. Defaults to True. False takes OpenCV's
            bilinear resize, as the host's ``Resize``: faster, for training only; at 448 px it is 1
            grey level away on average, at 224 px 4 (docs/augmentation.md).

    Raises:
        ValueError: If ``scale`` is not a positive int; when called, if the image is not BGR
            uint8.

    Example:
        >>> import numpy as np
        >>> SquareResize(224)(dict(img=np.zeros((480, 640, 3), np.uint8)))['img'].shape
        (224, 224, 3)
    """

    def __init__(self, scale: int, antialias: bool = True) -> None:
        if not isinstance(scale, int) or scale < 1:
            raise ValueError(
                f'scale is the side of the square, an int of at least 1, not {scale!r}'
            )
        self.scale = scale
        self.antialias = antialias

    def transform(self, results: dict) -> dict:
        img = bgr_image(results, 'SquareResize')
        height, width = img.shape[:2]
        size = (self.scale, self.scale)
        results['img'] = _as_pillow(img, size) if self.antialias else cv2.resize(img, size)
        results['img_shape'] = size
        results['scale'] = size
        results['scale_factor'] = (self.scale / width, self.scale / height)
        results['keep_ratio'] = False
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(scale={self.scale}, antialias={self.antialias})'


def _as_pillow(img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # The batch axis goes in front before the permutation: only then do the strides say
    # channels-last, for which torch keeps uint8 and the layout, so the way back is a view.
    batch = torch.from_numpy(img)[None].permute(0, 3, 1, 2)  # (1, 3, H, W)
    batch = F.interpolate(batch, size, mode='bilinear', antialias=True)
    return batch.permute(0, 2, 3, 1)[0].numpy()
