"""How a test pipeline resizes an image, in words that need no MMPretrain to follow."""

import warnings
from collections.abc import Sequence

from mmcv.transforms import BaseTransform, CenterCrop, LoadImageFromFile, Resize
from mmpretrain.datasets import PackInputs, ResizeEdge
from mmpretrain.registry import TRANSFORMS

from ...datasets.transforms import (
    LoadWholeImage,
    PackMultiLabelInputs,
    ShortSideResize,
    SquareResize,
)

UNKNOWN = 'unknown: prepare the input yourself'
"""The rule of a pipeline that does more than the steps say."""

_PILLOW_FILTERS = ('nearest', 'bilinear', 'bicubic', 'box', 'lanczos', 'hamming')


def resize_rule(pipeline: Sequence[dict]) -> list[dict] | str:
    """Say what a test pipeline does between the upright RGB or BGR image and the packed input.

    Args:
        pipeline (Sequence[dict]): The transforms' configs, ``test_dataloader.dataset.pipeline``.

    Returns:
        list[dict] | str: Steps, in their order; none where the image is packed as it is.

        - ``dict(op='squash', width, height, filter, antialias)``: to that size, the aspect ratio
          not kept.
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
        found = _steps(transform)
        if found is None:
            warnings.warn(
                f'{transform} of the test pipeline cannot be written down as a resize rule: who '
                'uses the file must prepare its input',
                stacklevel=2,
            )
            return UNKNOWN
        steps += found
    return steps


def _steps(transform: BaseTransform) -> list[dict] | None:
    """The steps of one transform, None if it does something else. Subclasses may: type, not is."""
    kind = type(transform)
    if kind in (PackInputs, PackMultiLabelInputs):
        return [] if transform.input_key == 'img' else None
    if kind in (LoadImageFromFile, LoadWholeImage):
        upright = transform.imdecode_backend in (None, 'cv2', 'pillow')
        return [] if upright and transform.color_type == 'color' else None
    if kind is SquareResize:
        return [_squash((transform.scale,) * 2, dict(_BILINEAR, antialias=transform.antialias))]
    if kind is ShortSideResize:
        return [
            dict(op='short_side', size=transform.scale, rounding='nearest', even=True, **_BILINEAR)
        ]
    if kind is CenterCrop and not transform.auto_pad:
        width, height = transform.crop_size
        return [dict(op='center_crop', width=width, height=height)]
    if kind is Resize and not transform.keep_ratio and transform.scale is not None:
        how = _filter(transform)
        return how and [_squash(transform.scale, how)]
    if kind is ResizeEdge and transform.edge == 'short':
        how = _filter(transform)
        return how and [
            dict(op='short_side', size=transform.scale, rounding='down', even=False, **how)
        ]
    return None


_BILINEAR = dict(filter='bilinear', antialias=False)


def _squash(size: tuple[int, int], how: dict) -> dict:
    return dict(op='squash', width=size[0], height=size[1], **how)


def _filter(transform: Resize | ResizeEdge) -> dict | None:
    """How the host's transforms resize, None if neither Pillow nor ``INTER_LINEAR`` does that."""
    if transform.backend == 'pillow' and transform.interpolation in _PILLOW_FILTERS:
        return dict(filter=transform.interpolation, antialias=True)
    if transform.backend == 'cv2' and transform.interpolation == 'bilinear':
        return dict(_BILINEAR)
    return None
