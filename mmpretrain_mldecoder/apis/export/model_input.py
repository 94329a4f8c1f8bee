"""Input of an exported model: its description, and photos that are packed for it."""

import copy
import os
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform, CenterCrop, LoadImageFromFile, Resize
from mmengine.config import Config
from mmengine.model import BaseModel
from mmpretrain.datasets import PackInputs, ResizeEdge
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch import Tensor

from ...datasets.transforms import (
    LoadWholeImage,
    PackMultiLabelInputs,
    ShortSideResize,
    SquareResize,
)
from ..inference.image_inputs import ImagePipeline, expand_inputs
from ..inference.onnx_model import first_line

NUM_PHOTOS, NUM_CALIBRATION_PHOTOS = 32, 256
"""So many photos are compared, and calibrated on, at most: the first."""

UNKNOWN = 'unknown: prepare the input yourself'
"""The rule of a pipeline that does more than the steps say."""

_PILLOW_FILTERS = ('nearest', 'bilinear', 'bicubic', 'box', 'lanczos', 'hamming')


def resize_rule(pipeline: Sequence[dict]) -> list[dict] | str:
    """Describe what a test pipeline does between the upright RGB or BGR image and the packed input.

    Returns:
        list[dict] | str: Steps, in their order; none where the image is packed as it is.

        - ``dict(op='squash', width, height, filter, antialias)``: to exactly that size.
        - ``dict(op='short_side', size, rounding, even, filter, antialias)``: the short side to
          ``size``, the long one in proportion, ``rounding`` 'nearest' (half to even) or 'down';
          with ``even``, the last row or column of an odd side is left out.
        - ``dict(op='center_crop', width, height)``: the margin at the left and at the top is half
          of what is left over, rounded half to even; what the image lacks is not padded.

        ``filter`` with ``antialias`` is Pillow's filter of that name; ``'bilinear'`` without is
        OpenCV's ``INTER_LINEAR``. A pipeline that these cannot describe gives ``UNKNOWN``, with a
        warning that names the transform.
    """
    steps = []
    for config in pipeline:
        transform = TRANSFORMS.build(config)
        found = _steps_of(transform)
        if found is None:
            fix = 'users of the file must prepare its input themselves'
            what = f'{transform} of the test pipeline cannot be written down as a resize rule'
            warnings.warn(f'{what}: {fix}', stacklevel=2)
            return UNKNOWN
        steps += found
    return steps


def _steps_of(transform: BaseTransform) -> list[dict] | None:
    """Return the steps of one transform, None if it does more, as a subclass of these may."""
    kind = type(transform)
    if kind in (PackInputs, PackMultiLabelInputs):
        return [] if transform.input_key == 'img' else None
    if kind in (LoadImageFromFile, LoadWholeImage):
        upright = transform.imdecode_backend in (None, 'cv2', 'pillow')
        return [] if upright and transform.color_type == 'color' else None
    if kind is CenterCrop and not transform.auto_pad:
        width, height = transform.crop_size
        return [dict(op='center_crop', width=width, height=height)]
    if kind is SquareResize:
        step = dict(op='squash', width=transform.scale, height=transform.scale)
        return [dict(step, filter='bilinear', antialias=transform.antialias)]
    if kind is ShortSideResize:
        step = dict(op='short_side', size=transform.scale, rounding='nearest', even=True)
        return [dict(step, filter='bilinear', antialias=False)]
    if kind is Resize and not transform.keep_ratio and transform.scale is not None:
        step = dict(op='squash', width=transform.scale[0], height=transform.scale[1])
    elif kind is ResizeEdge and transform.edge == 'short':
        step = dict(op='short_side', size=transform.scale, rounding='down', even=False)
    else:
        return None
    if transform.backend == 'pillow' and transform.interpolation in _PILLOW_FILTERS:
        return [dict(step, filter=transform.interpolation, antialias=True)]
    if transform.backend == 'cv2' and transform.interpolation == 'bilinear':
        return [dict(step, filter='bilinear', antialias=False)]
    return None


def input_entry(images: Tensor, dynamic_size: bool, normalisation: dict | None = None) -> dict:
    """Describe the input by packed photos; ``height`` and ``width`` are None where they are free.

    ``normalisation`` is what :func:`normalisation_of` found, None for a packed photo.
    """
    height, width = (None, None) if dynamic_size else images.shape[2:]
    dtype = 'float32' if normalisation else str(images.dtype).removeprefix('torch.')
    kind = dict(layout='NCHW', channels='BGR', orientation='upright (EXIF)')
    kind |= normalisation or dict(values='pixels, 0 to 255')
    return dict(name='image', dtype=dtype, **kind, height=height, width=width)


def normalisation_of(model: BaseModel, images: Tensor) -> dict:
    """Describe what the data preprocessor does: ``values``, ``channels``, ``mean`` and ``std``.

    Raises ``ValueError`` if it does more than to order the channels and to normalise them.
    """
    preprocessor = model.data_preprocessor
    prepared = preprocessor(dict(inputs=images[:1]))['inputs']
    mean, std = (
        torch.as_tensor(getattr(preprocessor, name, default)).float().reshape(-1, 1, 1)
        for name, default in (('mean', 0.0), ('std', 1.0))
    )
    for channels, image in (('RGB', images[:1].flip(1)), ('BGR', images[:1])):
        if prepared.shape == image.shape and torch.allclose((image - mean) / std, prepared):
            each = dict(mean=mean, std=std).items()
            lists = {name: value.expand(3, 1, 1).flatten().tolist() for name, value in each}
            return dict(values='(pixel - mean) / std', channels=channels, **lists)
    raise ValueError(
        f'a {type(preprocessor).__name__} does more than to normalise: export without --float-input'
    )


def photos_to_compare(
    config: Config, paths: Sequence[str | os.PathLike], dynamic_size: bool
) -> list[Tensor]:
    """Return the packed photos to compare, ``(N, 3, H, W)`` per size; by default the test data.

    Raises ``FileNotFoundError`` if there are no images, ``ValueError`` if they are of several sizes
    without ``dynamic_size``, or one cannot be read.
    """
    otherwise = 'no photos to compare, as the test data is not there: name some with --photos'
    images = pack_photos(config, paths) if paths else _test_images(config, NUM_PHOTOS, otherwise)
    groups = _by_size(images, NUM_PHOTOS)
    if not dynamic_size and len(groups) > 1:
        sizes = ' and '.join(map(_pixels, groups[:2]))
        raise ValueError(
            f'the test pipeline gives photos of several sizes, such as {sizes} pixels: export with '
            '--dynamic-size, or compare photos of one size (--photos)'
        )
    if dynamic_size and len(groups) == 1:
        height, width = groups[0].shape[2:]
        resized = F.interpolate(groups[0].float(), (height * 5 // 4, width * 3 // 4))
        groups.append(resized.to(groups[0].dtype))
    return groups


def calibration_batches(
    config: Config, folder: str | os.PathLike, size: tuple[int, ...] | None
) -> list[Tensor]:
    """Return batches of the images in a folder, all of the shape ``size`` if that is given."""
    groups = _by_size(pack_photos(config, [folder]), NUM_CALIBRATION_PHOTOS)
    for group in groups:
        if size is not None and group.shape[1:] != size:
            raise ValueError(
                f'the photos in {folder} have {_pixels(group)} pixels after the test pipeline, '
                f'those that are compared {size[2]}x{size[1]}: export with --dynamic-size'
            )
    return [batch for group in groups for batch in group.split(8)]


def check_test_data(config: Config) -> None:
    """Raise a ``FileNotFoundError`` if the data that int8 is judged on is not there."""
    need = 'int8 is judged by the metric before and after, but the test data is not there'
    _test_images(config, 1, need)


def pack_photos(config: Config, inputs: Sequence[str | os.PathLike]) -> Iterator[Tensor]:
    """Yield photos, ``(3, H, W)``, as the config's test pipeline packs them."""
    pipeline = ImagePipeline(config.test_dataloader.dataset.pipeline)
    return (pipeline(path)['inputs'] for path in expand_inputs(list(inputs)))


def _test_images(config: Config, number: int, otherwise: str) -> list[Tensor]:
    try:
        dataset = DATASETS.build(copy.deepcopy(config.test_dataloader.dataset))
        return [dataset[i]['inputs'] for i in range(min(number, len(dataset)))]
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{otherwise} ({first_line(error)})') from error


def _by_size(images: Iterator[Tensor], number: int) -> list[Tensor]:
    """Stack the first ``number`` images, those of each size and type by themselves."""
    groups: dict[tuple, list[Tensor]] = {}
    for image in islice(images, number):
        groups.setdefault((image.shape, image.dtype), []).append(image)
    return [torch.stack(group) for group in groups.values()]


def _pixels(images: Tensor) -> str:
    return f'{images.shape[3]}x{images.shape[2]}'
