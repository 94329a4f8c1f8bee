"""The attention maps of the labels that are given, and what they lie over."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmengine.model import BaseModel
from torch import Tensor


def check_has_attention(model: BaseModel) -> None:
    """Raise a ``ValueError`` unless the model's head has attention maps."""
    head = getattr(model, 'head', None)
    if not hasattr(head, 'attention_maps'):
        raise ValueError(
            f'a {type(head).__name__} has no attention: only MLDecoderHead and MLDecoderClsHead '
            'can tell where they looked'
        )


def label_attention(
    maps: Tensor, group_size: int, indices: Sequence[int], classes: Sequence[str]
) -> dict:
    """Pick the maps of some classes of one image.

    Args:
        maps (Tensor): ``(heads, K, H, W)``, one a query and attention head.
        group_size (int): How many consecutive classes one query answers for.
        indices (Sequence[int]): The classes, ``n`` of them.
        classes (Sequence[str]): All names.

    Returns:
        dict: ``attention``, float32 ``(n, heads, H, W)``, each map sums to 1, and
        ``shares_query_with``, for each of the classes the names of the others of its query.
    """
    queries = [int(index) // group_size for index in indices]
    shared = []
    for index, query in zip(indices, queries, strict=True):
        group = range(query * group_size, min((query + 1) * group_size, len(classes)))
        shared.append([classes[other] for other in group if other != index])
    attention = maps[:, queries].transpose(0, 1).float().cpu().numpy()
    return dict(attention=attention, shares_query_with=shared)


def seen_image(packed: Tensor, original_shape: tuple[int, int] | None) -> np.ndarray:
    """Return what the network saw, as an image.

    Args:
        packed (Tensor): What the pipeline packed, ``(3, h, w)`` or ``(1, h, w)``, BGR from 0 to
            255.
        original_shape (tuple[int, int], optional): Height and width of the photo, whose aspect the
            image is stretched to, no side getting shorter. None leaves it as it is.

    Returns:
        np.ndarray: BGR ``uint8``, ``(H, W, 3)``.
    """
    image = packed.cpu().numpy().transpose(1, 2, 0).clip(0, 255).astype(np.uint8)
    image = np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
    if original_shape is None:
        return image
    height, width = image.shape[:2]
    aspect = original_shape[1] / original_shape[0]
    size = (max(width, round(height * aspect)), max(height, round(width / aspect)))
    return image if size == (width, height) else cv2.resize(image, size)
