"""Resize the short side as PaddleClas does, to the pixel."""

import cv2
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from .bgr_image import bgr_image


@TRANSFORMS.register_module()
class ShortSideResize(BaseTransform):
    """Resize the short side to ``scale`` pixels, bilinear without antialias, aspect ratio kept.

    Followed by the host's ``CenterCrop`` of an even size, it gives the pixels of PaddleClas'
    ``ResizeImage(resize_short=scale)`` and ``CropImage``. Differs from the host's ``ResizeEdge``,
    which gives other pixels for about half of the photos, in:

    - the long side is rounded (half to even), not cut down to a whole number;
    - where a side comes out odd, its last row or column is left out. PaddleClas crops from half
      the margin rounded down, ``CenterCrop`` rounds half to even; of an even margin they take the
      same half.

    Required keys: ``img`` (BGR uint8, ``(H, W, 3)``).

    Modified keys: ``img`` (a new array), ``img_shape``.

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
