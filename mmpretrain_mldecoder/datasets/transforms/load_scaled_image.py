"""Decode a JPEG at a fraction of its size: faster, and not the pixels of the full picture."""

import cv2
import numpy as np
from mmpretrain.registry import TRANSFORMS

from ..decode_picture import MAX_PIXELS, decode_picture
from ..image_header import jpeg_size
from .load_whole_image import LoadWholeImage


@TRANSFORMS.register_module()
class LoadScaledImage(LoadWholeImage):
    """Load a picture for training; a JPEG at 1/2, 1/4 or 1/8 of its size where that is enough.

    The smallest of these is taken at which both sides keep at least ``min_side`` pixels. The
    decoder then leaves out most of the inverse cosine transform. Anything but a JPEG, and a JPEG
    that is too small for it, is loaded as ``LoadWholeImage`` does, whose rules hold for all files.
    The EXIF orientation is followed either way.

    The pixels are not those of the whole picture made smaller: docs/augmentation.md says how far
    they are from them. For training only; evaluate with ``LoadWholeImage``.

    Required key: ``img_path``. Modified keys: ``img`` (BGR uint8, ``(H, W, 3)``), ``img_shape``
    and ``ori_shape``, which are both the shape of ``img``.

    Args:
        min_side (int): Pixels that both sides keep, at least 1: the ``scale`` of the
            ``SquareResize`` that follows.
        max_pixels (int): Height times width of the largest picture, before it is made smaller, as
            in ``LoadWholeImage``. Defaults to 178,956,970.
        backend_args (dict, optional): Where files come from. Defaults to None: by the prefix of
            the path.

    Raises:
        ValueError: If ``min_side`` or ``max_pixels`` is not a positive int.
        UnreadableImage: When called, if the file cannot be read.
    """

    def __init__(
        self, min_side: int, max_pixels: int = MAX_PIXELS, *, backend_args: dict | None = None
    ) -> None:
        if not isinstance(min_side, int) or min_side < 1:
            raise ValueError(
                f'min_side is a number of pixels, an int of at least 1, not {min_side!r}'
            )
        super().__init__(max_pixels=max_pixels, backend_args=backend_args)
        self.min_side = min_side

    def _decode(self, path: str, content: bytes) -> np.ndarray:
        return decode_picture(path, content, self._flag(content), 'cv2', self.max_pixels)

    def _flag(self, content: bytes) -> int:
        """OpenCV's flag for the smallest picture that is large enough."""
        size = jpeg_size(content)
        if size is not None:
            for denominator, flag in (
                (8, cv2.IMREAD_REDUCED_COLOR_8),
                (4, cv2.IMREAD_REDUCED_COLOR_4),
                (2, cv2.IMREAD_REDUCED_COLOR_2),
            ):
                if min(size) >= denominator * self.min_side:
                    return flag
        return cv2.IMREAD_COLOR

    def __repr__(self) -> str:
        name = self.__class__.__name__
        return (
            f'{name}(min_side={self.min_side}, max_pixels={self.max_pixels}, '
            f'backend_args={self.backend_args})'
        )
