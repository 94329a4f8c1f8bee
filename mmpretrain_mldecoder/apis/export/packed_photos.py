"""Photos as the test pipeline packs them, for exports to be tried and calibrated on."""

import copy
import os
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch import Tensor

from ..inference.image_inputs import expand_inputs


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
