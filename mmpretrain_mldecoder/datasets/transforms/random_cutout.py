"""Cutout: one box of an image is filled with a random colour."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from .augment_ops import bgr_image, fill_box


@TRANSFORMS.register_module()
class RandomCutout(BaseTransform):
    """Fill one box, centred anywhere in the image, with one random colour; always applied.

    The centre is uniform over the pixels and the box is clipped at the border, so a box of half
    the side hides between 1/16 and 1/4 of the image. Each channel of the colour is uniform
    over the integers 0..255.

    Source: DeVries and Taylor, "Cutout", arXiv:1708.04552; colour and size as in the recipe of
    Ridnik et al., "ML-Decoder", arXiv:2111.12933.
    Differs from the authors' code in: the box spans ``2 * (side // 2)`` pixels. The drawing calls
    of the authors and of PaddleClas fill the end row and column too, one pixel more.

    Required and modified key: ``img`` (BGR uint8, ``(H, W, 3)``). The box is filled in the array
    itself, as the host's ``RandomErasing`` does; a read-only array is copied first.

    Random numbers come from ``numpy.random``'s global state.

    Args:
        size (float | int): Side of the box: a float in (0, 1] is a fraction of the image's
            height and of its width, an int of at least 1 is in pixels.

    Raises:
        ValueError: If ``size`` is neither; when called, if the image is not BGR uint8.
    """

    def __init__(self, size: float | int) -> None:
        is_pixels = isinstance(size, int) and size >= 1
        is_fraction = isinstance(size, float) and 0 < size <= 1
        if not (is_pixels or is_fraction):
            raise ValueError(
                'size is a fraction of the side (a float in (0, 1]) or pixels (an int of at '
                f'least 1), not {size!r}'
            )
        self.size = size

    def transform(self, results: dict) -> dict:
        img = bgr_image(results, 'RandomCutout')
        if not img.flags.writeable:
            img = img.copy()
        height, width = img.shape[:2]
        sides = (self._pixels(height), self._pixels(width))
        center = (np.random.randint(height), np.random.randint(width))
        fill_box(img, center, sides, np.random.randint(0, 256, 3))
        results['img'] = img
        return results

    def _pixels(self, length: int) -> int:
        """Side of the box along an axis of ``length`` pixels, halves rounded up."""
        return self.size if isinstance(self.size, int) else int(self.size * length + 0.5)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(size={self.size})'
