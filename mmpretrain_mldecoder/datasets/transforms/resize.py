"""Resizing to the pixels of the recipes' sources: Pillow's (ML-Decoder) and PaddleClas'."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from .augment_ops import bgr_image


@TRANSFORMS.register_module()
class SquareResize(BaseTransform):
    """Resize to ``scale x scale`` pixels, bilinear with antialias, aspect ratio not kept.

    The recipe resizes with Pillow, whose bilinear filter widens when it shrinks an image.
    OpenCV's (the host's ``Resize``) does not. torch has Pillow's filter for uint8: at most 1 grey
    level away on photos, 0.003 on average. (Pillow 13 filters some tall images in the other
    order of axes, which alone moves the rounding by 0.2 on average; the order here is Pillow 11's.)

    Required key: ``img`` (BGR uint8, ``(H, W, 3)``). Modified keys: ``img`` (a new array),
    ``img_shape``. Added keys, as by the host's ``Resize``: ``scale`` and ``scale_factor`` (width,
    height), ``keep_ratio`` (False). Boxes and masks are not resized.

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
        scale_factor = (self.scale / width, self.scale / height)
        results.update(img_shape=size, scale=size, scale_factor=scale_factor, keep_ratio=False)
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(scale={self.scale}, antialias={self.antialias})'


def _as_pillow(img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # The batch axis is added before the permutation: only then are the strides channels-last, for
    # which torch keeps uint8 and the layout, so that the last line is a view.
    batch = torch.from_numpy(img)[None].permute(0, 3, 1, 2)  # (1, 3, H, W)
    batch = F.interpolate(batch, size, mode='bilinear', antialias=True)
    return batch.permute(0, 2, 3, 1)[0].numpy()


@TRANSFORMS.register_module()
class ShortSideResize(BaseTransform):
    """Resize the short side to ``scale`` pixels, bilinear without antialias, aspect ratio kept.

    Followed by the host's ``CenterCrop`` of an even size, it gives the pixels of PaddleClas'
    ``ResizeImage(resize_short=scale)`` and ``CropImage``. Differs from the host's ``ResizeEdge``,
    which gives other pixels for about half of the photos, in:

    - the long side is rounded (half to even), not truncated;
    - where a side comes out odd, its last row or column is dropped. PaddleClas crops from half
      the margin rounded down, ``CenterCrop`` rounds half to even; of an even margin they take the
      same half.

    Required key: ``img`` (BGR uint8, ``(H, W, 3)``). Modified keys: ``img`` (a new array),
    ``img_shape``.

    Source: PaddleClas, ``ppcls/data/preprocess/ops/operators.py``.

    Args:
        scale (int): Length of the short side in pixels, even and at least 2.

    Raises:
        ValueError: If ``scale`` is not a positive even int; when called, if the image is not BGR
            uint8.

    Example:
        >>> import numpy as np
        >>> ShortSideResize(256)(dict(img=np.zeros((375, 500, 3), np.uint8)))['img'].shape
        (256, 340, 3)
    """

    def __init__(self, scale: int) -> None:
        if not isinstance(scale, int) or scale < 2 or scale % 2:
            raise ValueError(
                f'scale is the length of the short side, an even int of at least 2, not {scale!r}'
            )
        self.scale = scale

    def transform(self, results: dict) -> dict:
        img = bgr_image(results, 'ShortSideResize')
        height, width = img.shape[:2]
        factor = self.scale / min(height, width)
        height, width = round(height * factor), round(width * factor)
        img = cv2.resize(img, (width, height), interpolation=cv2.INTER_LINEAR)
        results['img'] = img[: height - height % 2, : width - width % 2]
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(scale={self.scale})'
