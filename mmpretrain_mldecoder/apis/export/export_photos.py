"""Which photos an export is compared on, and calibrated on."""

import os
from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor

from .export_gate import first_line
from .packed_photos import groups_of_one_size, packed_photos, packed_test_photos

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


def _pixels(pictures: Tensor) -> str:
    return f'{pictures.shape[3]}x{pictures.shape[2]}'
