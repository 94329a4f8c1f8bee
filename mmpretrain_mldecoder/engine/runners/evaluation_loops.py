"""Loops of validation and test that take images of several sizes without padding them."""

from collections.abc import Callable, Sequence
from itertools import groupby

from mmengine.dataset import default_collate
from mmengine.runner import TestLoop, ValLoop


class _BySize:
    """Mixin over a loop whose loader has :func:`collate_by_size`: it runs the parts one by one."""

    def run_iter(self, idx, data_batch) -> None:
        for part in data_batch if isinstance(data_batch, Parts) else [data_batch]:
            super().run_iter(idx, part)


class BySizeValLoop(_BySize, ValLoop):
    """``ValLoop`` whose metrics do not depend on the batch size."""


class BySizeTestLoop(_BySize, TestLoop):
    """``TestLoop`` whose metrics do not depend on the batch size."""

    __test__ = False  # for pytest


class Parts(list):
    """A batch in parts, each of neighbours of one size."""


def collate_by_size(samples: Sequence[dict], collate: Callable = default_collate) -> object:
    """Collate neighbours of one size together; return one batch, or :class:`Parts`.

    The host's preprocessor pads a list of images to the largest: scores, and with them the metrics,
    would depend on the batch size. A sample may be several views of an image.
    """
    parts = Parts(collate(list(group)) for _, group in groupby(samples, _sizes))
    return parts if len(parts) > 1 else parts[0]


def _sizes(sample: object) -> list:
    inputs = sample.get('inputs') if isinstance(sample, dict) else None
    views = inputs if isinstance(inputs, list | tuple) else [inputs]
    return [getattr(view, 'shape', None) for view in views]
