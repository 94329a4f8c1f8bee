"""How long each transform of a dataset's pipeline takes."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch.utils.data import Dataset

from ...datasets.inner_datasets import inner_datasets

READING = 'reading the file'


class StageClock:
    """Seconds by the name of the stage, in the order in which the stages were first met."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add to a stage."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    @contextmanager
    def on_pipelines(self, dataset: Dataset) -> Iterator[None]:
        """Time each transform of a dataset, and of those that it wraps, for a while.

        A stage is named after the class of its transform, with a number from the second of the
        same class on. Transforms inside another one (``RandomApply``) count as that one. Before
        the first transform the file at ``img_path`` is read, as a stage of its own: so the disk's
        part is known, and the first transform finds the file in memory.
        """
        pipelines = [d.pipeline for d in inner_datasets(dataset) if _has_transforms(d)]
        transforms = [pipeline.transforms for pipeline in pipelines]
        try:
            for pipeline in pipelines:
                pipeline.transforms = self._timed(pipeline.transforms)
            yield
        finally:
            for pipeline, originals in zip(pipelines, transforms, strict=True):
                pipeline.transforms = originals

    def _timed(self, transforms: list[Callable]) -> list[Callable]:
        timed, names = [self._read], []
        for transform in transforms:
            name = getattr(transform, '__name__', type(transform).__name__)
            names.append(name)
            if names.count(name) > 1:
                name = f'{name} {names.count(name)}'
            timed.append(self._call(transform, name))
        return timed

    def _call(self, transform: Callable, name: str) -> Callable:
        def call(results):
            with self.stage(name):
                return transform(results)

        return call

    def _read(self, results):
        path = results.get('img_path') if isinstance(results, dict) else None
        if path is not None and os.path.isfile(path):  # else it is behind a file backend
            with self.stage(READING), open(path, 'rb') as file:
                file.read()
        return results


def _has_transforms(dataset: Dataset) -> bool:
    return isinstance(getattr(getattr(dataset, 'pipeline', None), 'transforms', None), list)
