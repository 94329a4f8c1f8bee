"""Images that an export is compared on and calibrated on."""

import copy
import os
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import Compose
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch import Tensor

from ..inference.image_inputs import expand_inputs
from .parity import first_line

NUM_PHOTOS = 32
"""So many photos are compared at most; the first."""

NUM_CALIBRATION_PHOTOS = 256
"""So many photos are calibrated on at most; the first."""


def check_test_data(config: Config) -> None:
    """Raise a ``FileNotFoundError`` if the data that int8 is judged on is not there."""
    try:
        packed_test_photos(config, 1)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            'int8 is judged by the metric before and after, but the test data is not there: '
            f'{first_line(error)}'
        ) from error


def photos_to_compare(
    config: Config, photos: Sequence[str | os.PathLike], dynamic_size: bool
) -> list[Tensor]:
    """Return the photos to compare on, those of each size by themselves."""
    if photos:
        groups = groups_of_one_size(packed_photos(config, photos), NUM_PHOTOS)
    else:
        try:
            groups = groups_of_one_size(packed_test_photos(config, NUM_PHOTOS), NUM_PHOTOS)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                'no photos to compare on, as the test data is not there: name some with --photos '
                f'({first_line(error)})'
            ) from error
    if not dynamic_size and len(groups) > 1:
        sizes = ' and '.join(map(_pixels, groups[:2]))
        raise ValueError(
            f'the test pipeline gives photos of several sizes, such as {sizes} pixels: export with '
            '--dynamic-size, or compare on photos of one size (--photos)'
        )
    if dynamic_size and len(groups) == 1:
        height, width = groups[0].shape[2:]
        other = (height * 5 // 4, width * 3 // 4)
        resized = F.interpolate(groups[0].float(), other, mode='nearest')
        groups.append(resized.to(groups[0].dtype))
    return groups


def calibration_batches(
    config: Config, folder: str | os.PathLike, size: tuple[int, ...] | None
) -> list[Tensor]:
    """Return batches of the photos in a folder, all of the shape ``size`` if that is given."""
    groups = groups_of_one_size(packed_photos(config, [folder]), NUM_CALIBRATION_PHOTOS)
    for group in groups:
        if size is not None and group.shape[1:] != size:
            raise ValueError(
                f'the photos in {folder} come to {_pixels(group)} pixels, those that are compared '
                f'to {size[2]}x{size[1]}: export with --dynamic-size'
            )
    return [batch for group in groups for batch in group.split(8)]


def _pixels(images: Tensor) -> str:
    return f'{images.shape[3]}x{images.shape[2]}'


def packed_photos(config: Config, inputs: Sequence[str | os.PathLike]) -> Iterator[Tensor]:
    """Read photos through the config's test pipeline.

    Args:
        config (Config): With ``test_dataloader.dataset.pipeline``.
        inputs (Sequence[str | PathLike]): Files, folders or globs, see :func:`expand_inputs`.

    Yields:
        Tensor: One photo, ``(3, H, W)``.

    Raises:
        FileNotFoundError: If there is no photo.
        ValueError: If one cannot be read.
    """
    transforms = config.test_dataloader.dataset.pipeline
    pipeline = Compose([TRANSFORMS.build(transform) for transform in transforms])
    for path in expand_inputs(list(inputs)):
        try:
            packed = pipeline(dict(img_path=path))
        except Exception as error:  # each decoder has its own
            raise ValueError(f'cannot read image {path}: {error}') from error
        yield packed['inputs']


def packed_test_photos(config: Config, number: int) -> list[Tensor]:
    """Read the first photos of the config's test data.

    Raises:
        FileNotFoundError: If the data is not there.
    """
    dataset = DATASETS.build(copy.deepcopy(config.test_dataloader.dataset))
    return [dataset[i]['inputs'] for i in range(min(number, len(dataset)))]


def groups_of_one_size(photos: Iterator[Tensor], number: int) -> list[Tensor]:
    """Stack the first ``number`` photos, those of each size and type by themselves.

    Returns:
        list[Tensor]: ``(N, 3, H, W)`` each, in the order in which the sizes come.
    """
    groups: dict[tuple, list[Tensor]] = {}
    for photo in islice(photos, number):
        groups.setdefault((photo.shape, photo.dtype), []).append(photo)
    return [torch.stack(group) for group in groups.values()]
