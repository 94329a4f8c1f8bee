"""Load a picture whole and right, or say which one cannot be and why."""

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS

from ..decode_picture import MAX_PIXELS, decode_picture
from ..picture_file import read_picture_file
from ..unreadable_image import UnreadableImage


@TRANSFORMS.register_module()
class LoadWholeImage(LoadImageFromFile):
    """The host's ``LoadImageFromFile`` without half pictures: the same pixels, or an error.

    OpenCV makes a grey half of some files that are cut off, a black picture of some others, and
    decodes 20,000 x 20,000 pixels out of a megabyte. Here all of these raise, with path and reason;
    :func:`decode_picture` has the rules. COCOMultiLabel and SeededImageNet skip such pictures in
    training, see :class:`SkipUnreadableMixin`.

    Required key: ``img_path``. Modified keys: ``img`` (BGR uint8, ``(H, W, 3)`` by default),
    ``img_shape`` and ``ori_shape``, which are both the height and width of ``img``.

    Args:
        to_float32 (bool): Whether ``img`` becomes float32. Defaults to False.
        color_type (str): As in ``mmcv.imfrombytes``. Defaults to ``'color'``.
        imdecode_backend (str): As there. Defaults to ``'cv2'``.
        ignore_empty (bool): Whether to give None in place of the error. Defaults to False.
        max_pixels (int): Height times width of the largest picture, at least 1. It needs 3 bytes
            a pixel in each worker. Of formats other than JPEG and PNG, Pillow's limit holds as
            well. Defaults to 178,956,970, which is that limit.
        backend_args (dict, optional): Where files come from. Defaults to None: by the prefix of
            the path.

    Raises:
        ValueError: If ``max_pixels`` is not a positive int.
        UnreadableImage: When called, if the file cannot be read; it is a ValueError, too.
    """

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
        path = results['img_path']
        try:
            img = self._decode(path, read_picture_file(path, self.backend_args))
        except UnreadableImage:
            if self.ignore_empty:
                return None
            raise
        if self.to_float32:
            img = img.astype(np.float32)
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def _decode(self, path: str, content: bytes) -> np.ndarray:
        return decode_picture(
            path, content, self.color_type, self.imdecode_backend, self.max_pixels
        )

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, max_pixels={self.max_pixels})'
