"""Loops of validation and test that take images of several sizes without padding them."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from mmengine.dataset import default_collate
from mmengine.runner import TestLoop, ValLoop
from torch import Tensor


class _BySize:
    """Mixin over a loop that runs the neighbours of one size in a batch together.

    The host's preprocessor pads a list of images to the largest: scores, and with them the metrics,
    would depend on the batch size. The order of the images stays.
    """

    def run_iter(self, idx, data_batch) -> None:
        for part in parts_of_one_size(data_batch):
            super().run_iter(idx, part)


class BySizeValLoop(_BySize, ValLoop):
    """``ValLoop`` whose metrics do not depend on the batch size."""


class BySizeTestLoop(_BySize, TestLoop):
    """``TestLoop`` whose metrics do not depend on the batch size."""

    __test__ = False  # for pytest


def collate_by_size(samples: Sequence[dict]) -> object:
    """Collate as ``default_collate`` does, but leave ``inputs`` of several sizes a list."""
    images = [sample.get('inputs') if isinstance(sample, dict) else None for sample in samples]
    if not all(isinstance(image, Tensor) for image in images) or len(_sizes(images)) == 1:
        return default_collate(samples)
    others = [{k: v for k, v in sample.items() if k != 'inputs'} for sample in samples]
    return {**default_collate(others), 'inputs': images}


def parts_of_one_size(batch: object) -> Iterator[object]:
    """Yield a batch, split between neighbours of several sizes if its ``inputs`` are a list."""
    images = batch.get('inputs') if isinstance(batch, dict) else None
    is_list = isinstance(images, list) and all(isinstance(image, Tensor) for image in images)
    if not is_list or len(_sizes(images)) == 1:
        yield batch
        return
    start = 0
    for _, group in groupby(image.shape for image in images):
        end = start + len(list(group))
        yield {key: value[start:end] for key, value in batch.items()}
        start = end


def _sizes(images: Sequence[Tensor]) -> set[tuple[int, ...]]:
    return {image.shape for image in images}
