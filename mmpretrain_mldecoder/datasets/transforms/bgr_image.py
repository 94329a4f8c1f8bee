"""The check of their input that the recipes' transforms share."""

import numpy as np


def bgr_image(results: dict, transform: str) -> np.ndarray:
    """Return ``results['img']`` contiguous: BGR, uint8, ``(H, W, 3)``.

    Raises:
        ValueError: If it is something else, or empty; names ``transform``, the calling one.
    """
    img = results['img']
    if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3 or img.size == 0:
        raise ValueError(
            f'{transform} takes a BGR uint8 image of shape (H, W, 3), not {img.dtype} of shape '
            f'{img.shape} (img_path: {results.get("img_path")}). Load it with '
            "dict(type='LoadImageFromFile') without to_float32 or color_type='grayscale', and "
            'normalise after this transform.'
        )
    return np.ascontiguousarray(img)  # a flip before us leaves negative strides
