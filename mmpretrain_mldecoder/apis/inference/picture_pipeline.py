"""The config's test pipeline, for files and for pictures that are in memory already."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile, Resize
from mmengine.config import Config
from mmpretrain.datasets import PackInputs, ResizeEdge
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageOps

from ...datasets.transforms import LoadWholeImage, ShortSideResize, SquareResize
from ...datasets.unreadable_image import UnreadableImage
from .image_inputs import SingleImage

_KEEPS_THE_WHOLE = (Resize, ResizeEdge, ShortSideResize, SquareResize, PackInputs)


class PicturePipeline:
    """Load or wrap a picture, and apply what follows the loading in the test pipeline.

    A picture in memory is treated as its file would be: turned upright by its EXIF orientation,
    without transparency, grey as three equal channels, 16 bits as their upper 8. Files are read by
    the rules of ``LoadWholeImage``, also where the config, as older ones do, has the host's loader.

    Args:
        pipeline (list[dict]): The config of the pipeline.
    """

    def __init__(self, pipeline: list[dict | Config]):
        transforms: list[BaseTransform] = [TRANSFORMS.build(t) for t in pipeline]
        self._loaders = [_whole(t) for t in transforms if isinstance(t, LoadImageFromFile)]
        self._transforms = [t for t in transforms if not isinstance(t, LoadImageFromFile)]
        self.only_resizes = all(isinstance(t, _KEEPS_THE_WHOLE) for t in self._transforms)
        """Whether the network sees the whole picture, at most squashed."""

    def __call__(self, image: SingleImage) -> dict:
        """Return what the pipeline packs; its data sample also knows ``ori_shape``.

        Raises:
            UnreadableImage: If ``image`` is a file that cannot be read.
        """
        results = self._read(image) if isinstance(image, str) else self._wrap(image)
        height_and_width = results['img'].shape[:2]
        for transform in self._transforms:
            results = transform(results)
        results['data_samples'].set_metainfo(dict(ori_shape=height_and_width))
        return results

    def picture(self, image: SingleImage) -> np.ndarray:
        """Return a picture as it is loaded, for drawing: BGR ``uint8``, ``(H, W, 3)``."""
        pixels = self._read(image)['img'] if isinstance(image, str) else _as_bgr(image)
        pixels = pixels.clip(0, 255).astype(np.uint8)
        if pixels.shape[2:] != (3,):
            pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
        return pixels

    def _read(self, path: str) -> dict:
        """Read a file by the config's own loading transform."""
        results = dict(img_path=path)
        for loader in self._loaders:
            try:
                results = loader(results)
            except UnreadableImage:
                raise
            except AssertionError:  # the host's loader, where OpenCV gives nothing back
                raise UnreadableImage(path, 'no picture that can be decoded') from None
            except Exception as error:  # each decoder has its own
                reason = ' '.join(str(error).split()) or type(error).__name__
                raise UnreadableImage(path, reason) from error
            if results is None:  # a loader with ignore_empty
                raise UnreadableImage(path, 'no picture that can be decoded')
        return results

    def _wrap(self, image: np.ndarray | Image.Image) -> dict:
        """Give a picture in memory the keys and the kind of pixels that a loaded file has."""
        pixels = _as_bgr(image)
        for loader in self._loaders:
            if loader.color_type == 'grayscale':
                pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
            if loader.to_float32:
                pixels = pixels.astype(np.float32)
        return dict(img=pixels, img_shape=pixels.shape[:2], ori_shape=pixels.shape[:2])


def _whole(loader: LoadImageFromFile) -> LoadImageFromFile:
    """Put our loader in the place of the host's, whose pixels it gives or raises."""
    if type(loader) is not LoadImageFromFile or loader.file_client_args is not None:
        return loader
    return LoadWholeImage(
        loader.to_float32,
        loader.color_type,
        loader.imdecode_backend,
        loader.ignore_empty,
        backend_args=loader.backend_args,
    )


def _as_bgr(image: np.ndarray | Image.Image) -> np.ndarray:
    """Turn a picture in memory into BGR ``uint8``, as OpenCV decodes a file."""
    if isinstance(image, Image.Image):
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith('I'):  # 16 bits, which Pillow would cut off at 255
            image = (np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)
        else:
            image = np.asarray(image.convert('RGB'))[..., ::-1]
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(image[..., :3])
