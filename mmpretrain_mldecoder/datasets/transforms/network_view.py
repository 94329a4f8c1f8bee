"""What a network sees of an image, for people to look at."""

from collections.abc import Iterable

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile, Resize
from mmpretrain.datasets import PackInputs, ResizeEdge
from torch import Tensor

from .resize import ShortSideResize, SquareResize

_KEEP_WHOLE = (LoadImageFromFile, Resize, ResizeEdge, ShortSideResize, SquareResize, PackInputs)


def keep_whole(transforms: Iterable[object]) -> bool:
    """Whether transforms keep the whole image, at most squashed."""
    return all(isinstance(transform, _KEEP_WHOLE) for transform in transforms)


def network_view(inputs: Tensor, photo_shape: tuple[int, int] | None = None) -> np.ndarray:
    """Return what a network sees of a packed image, ``(3, h, w)`` or ``(1, h, w)``: BGR ``uint8``.

    Where the whole photo is seen, and its height and width are given, the view, ``(H, W, 3)``, is
    stretched to its aspect, no side getting shorter.
    """
    image = inputs.cpu().numpy().transpose(1, 2, 0).clip(0, 255).astype(np.uint8)
    image = np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
    if photo_shape is None:
        return image
    height, width = image.shape[:2]
    aspect = photo_shape[1] / photo_shape[0]
    size = (max(width, round(height * aspect)), max(height, round(width / aspect)))
    return image if size == (width, height) else cv2.resize(image, size)
