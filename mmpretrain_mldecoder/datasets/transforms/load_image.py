"""Loading of images, complete and upright, or with an error that names the file."""

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS

from ...errors import UnreadableImageError
from ..decode_image import MAX_PIXELS, decode_image, image_to_bgr
from ..image_files import read_image_file


@TRANSFORMS.register_module()
class LoadWholeImage(LoadImageFromFile):
    """The host's ``LoadImageFromFile`` for complete images: the same pixels, or an error.

    OpenCV fills the rest of some truncated files with grey, makes a black image of some others,
    and decodes 20,000 x 20,000 pixels out of a megabyte. Here all of these raise, with path and
    reason; :func:`decode_image` has the rules. COCOMultiLabel and SeededImageNet skip such images
    in training, see :class:`SkipUnreadableMixin`.

    Required key: ``img_path``; or only ``img``, BGR uint8, where the image has been read before, as
    MMPretrain's inferencers do. Modified keys: ``img`` (BGR uint8, ``(H, W, 3)`` by default),
    ``img_shape`` and ``ori_shape``, which are both the height and width of ``img``.

    Args:
        to_float32 (bool): Whether ``img`` becomes float32. Defaults to False.
        color_type (str): As in ``mmcv.imfrombytes``. Defaults to ``'color'``.
        imdecode_backend (str): As there. Defaults to ``'cv2'``.
        ignore_empty (bool): Whether to return None instead of raising. Defaults to False.
        max_pixels (int): Height times width of the largest image, at least 1. It needs 3 bytes
            a pixel in each worker. Of formats other than JPEG and PNG, Pillow's limit holds as
            well. Defaults to 178,956,970, which is that limit.
        backend_args (dict, optional): Where files come from. Defaults to None: by the prefix of
            the path.

    Raises:
        ValueError: If ``max_pixels`` is not a positive int.
        UnreadableImageError: When called, if the file cannot be read; it is a ValueError, too.
    """

    min_side: int | None = None

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        ignore_empty: bool = False,
        max_pixels: int = MAX_PIXELS,
        *,
        backend_args: dict | None = None,
    ) -> None:
        if not isinstance(max_pixels, int) or max_pixels < 1:
            raise ValueError(f'max_pixels is an int of at least 1, not {max_pixels!r}')
        super().__init__(
            to_float32, color_type, imdecode_backend, None, ignore_empty, backend_args=backend_args
        )
        self.max_pixels = max_pixels

    def transform(self, results: dict) -> dict | None:
        if 'img_path' not in results and 'img' in results:
            img = image_to_bgr(results['img'])
            if self.color_type == 'grayscale':
                img = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
        else:
            path = results['img_path']
            rules = (self.color_type, self.imdecode_backend, self.max_pixels, self.min_side)
            try:
                img = decode_image(path, read_image_file(path, self.backend_args), *rules)
            except UnreadableImageError:
                if self.ignore_empty:
                    return None
                raise
        if self.to_float32:
            img = img.astype(np.float32)
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, max_pixels={self.max_pixels})'


@TRANSFORMS.register_module()
class LoadScaledImage(LoadWholeImage):
    """Load an image for training; a JPEG at 1/2, 1/4 or 1/8 of its size where that is enough.

    It takes the smallest scale at which both sides keep at least ``min_side`` pixels. The decoder
    then skips most of the inverse cosine transform. Other formats, and a JPEG that is too small,
    are loaded as by ``LoadWholeImage``, whose rules, keys and errors hold for all files.

    The pixels differ from those of the full image resized (docs/augmentation.md says how far). For
    training only; evaluate with ``LoadWholeImage``.

    Args:
        min_side (int): Pixels that both sides keep, at least 1: the ``scale`` of the
            ``SquareResize`` that follows.
        max_pixels (int): As in ``LoadWholeImage``, before the image is made smaller. Defaults to
            178,956,970.
        backend_args (dict, optional): As in ``LoadWholeImage``. Defaults to None.

    Raises:
        ValueError: If ``min_side`` or ``max_pixels`` is not a positive int.
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

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(min_side={self.min_side}, max_pixels={self.max_pixels}, '
            f'backend_args={self.backend_args})'
        )
