"""Decode a JPEG at a fraction of its size: faster, and not the pixels of the full picture."""

import struct

import cv2
import mmcv
import mmengine.fileio as fileio
from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS

# The markers of a JPEG that a frame starts with, SOF0 to SOF15; DHT, JPG and DAC lie between them.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@TRANSFORMS.register_module()
class LoadScaledImage(LoadImageFromFile):
    """Load a picture for training; a JPEG at 1/2, 1/4 or 1/8 of its size where that is enough.

    The smallest of these is taken at which both sides keep at least ``min_side`` pixels. The
    decoder then leaves out most of the inverse cosine transform. Anything but a JPEG, and a JPEG
    that is too small for it, is loaded as the host's ``LoadImageFromFile`` does. The EXIF
    orientation is followed either way.

    The pixels are not those of the whole picture made smaller: docs/augmentation.md says how far
    they are from them. For training only; evaluate with ``LoadImageFromFile``.

    Required key: ``img_path``. Modified keys: ``img`` (BGR uint8, ``(H, W, 3)``), ``img_shape``
    and ``ori_shape``, which are both the shape of ``img``.

    Args:
        min_side (int): Pixels that both sides keep, at least 1: the ``scale`` of the
            ``SquareResize`` that follows.
        backend_args (dict, optional): Where files come from, as in ``LoadImageFromFile``. Defaults
            to None: by the prefix of the path.

    Raises:
        ValueError: If ``min_side`` is not a positive int; when called, if the file is no picture.
    """

    def __init__(self, min_side: int, *, backend_args: dict | None = None) -> None:
        if not isinstance(min_side, int) or min_side < 1:
            raise ValueError(
                f'min_side is a number of pixels, an int of at least 1, not {min_side!r}'
            )
        super().__init__(backend_args=backend_args)
        self.min_side = min_side

    def transform(self, results: dict) -> dict:
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        img = mmcv.imfrombytes(content, flag=self._flag(content), backend='cv2')
        if img is None:
            raise ValueError(f'{results["img_path"]} is no picture that OpenCV can read')
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

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
        return f'{name}(min_side={self.min_side}, backend_args={self.backend_args})'


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return height and width as a JPEG's frame header states them, None if there is none.

    The EXIF orientation is not applied.
    """
    if content[:2] != b'\xff\xd8':
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAME_MARKERS:
            return struct.unpack_from('>HH', content, at + 5)
        if marker == 0xFF:  # padding before a marker
            at += 1
        else:
            at += 2 + struct.unpack_from('>H', content, at + 2)[0]
    return None
