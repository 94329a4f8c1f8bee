"""How many photos a second a config's data loader gives, and which stage takes the time."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ...datasets.parallel_map import usable_cores
from ...datasets.resized_copy import SETTINGS_FILE
from ...datasets.seeded_sampler import (
    SampleIndex,
    SeededSamplesMixin,
    sample_random_state,
    seed_generators,
)
from ...datasets.skip_unreadable import inner_datasets
from ...engine import PortableRunner

SEEDING = 'seeding'
LABELS = 'labels'
COLLATION = 'collation'
WARM_UP = 8  # photos, on which libraries are loaded and buffers made


@dataclass(frozen=True)
class LoaderSpeed:
    """What :func:`loader_speed` measured.

    Attributes:
        split: ``'train'``, ``'val'`` or ``'test'``.
        photos: Samples that the stages were measured on.
        stages: Milliseconds a photo of each stage on one core, in the order of the pipeline:
            ``'labels'`` (all that the dataset does beside its pipeline), ``'reading the file'``,
            the transforms by name, ``'collation'`` (making a batch of samples).
        core_rate: Photos a second of one core: all stages together.
        core_share: Share of that time, reading left out, in which this process had the core;
            below 1 where other programs use it, or where a stage waits.
        workers: Worker processes of the loader; 0 means that it works in the main process.
        loader_rate: Photos a second through the loader.
        batch_size: Photos a batch of the loader; None if a batch sampler decides.
        num_photos: Photos in the dataset.
        cores: Cores that this process may use.
        is_resized_copy: Whether the images are such a copy (``tools/dataset_tools/resize.py``).
    """

    split: str
    photos: int
    stages: dict[str, float]
    core_rate: float
    core_share: float
    workers: int
    loader_rate: float
    batch_size: int | None
    num_photos: int
    cores: int
    is_resized_copy: bool

    @property
    def slowest(self) -> str:
        """Name of the stage that takes longest."""
        return max(self.stages, key=self.stages.get)

    @property
    def copy_would_help(self) -> bool:
        """Whether photos are squashed to a square for training, and not by a resized copy yet."""
        return self.split == 'train' and 'SquareResize' in self.stages and not self.is_resized_copy

    def cores_for(self, photos_per_second: float) -> float:
        """Return how many such cores make so many photos a second."""
        return photos_per_second / self.core_rate


def loader_speed(
    cfg: Config, split: str = 'train', photos: int = 1000, workers: int | None = None
) -> LoaderSpeed:
    """Measure the data loader of a config, built as training builds it, with a progress bar.

    First ``photos`` samples are made in this process, with one thread, in the order and under the
    seeds of the first epoch. Then batches come through the loader: as many as hold ``photos``,
    at least four a worker, after one batch a worker that is not timed. A small dataset is gone
    through several times.

    The second part finds files of the first in memory, so a slow disk shows only in the stage
    ``'reading the file'``; and there only if the files were not read shortly before.

    Args:
        cfg (Config): As ``engine.runners.launch.load_config`` gives it.
        split (str): ``'train'``, ``'val'`` or ``'test'``. Defaults to ``'train'``.
        photos (int): Samples of each part, at least 1. Defaults to 1000.
        workers (int, optional): Worker processes. Defaults to the config's ``num_workers``.

    Raises:
        ValueError: If a number is out of its range, the config has no such split, or its data is
            not a list of samples.
        FileNotFoundError: If the data is not there.
    """
    if photos < 1:
        raise ValueError(f'photos must be at least 1, but got {photos}')
    if workers is not None and workers < 0:
        raise ValueError(f'workers must be at least 0, but got {workers}')
    loader = _build_loader(cfg, split, workers)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with (
        Progress(*columns, console=Console(stderr=True), transient=True) as bar,
        _one_thread(),
        sample_random_state(0),
    ):
        stages, core_share = _time_stages(loader, photos, bar)
        rate = _time_loader(loader, photos, bar)
    return LoaderSpeed(
        split=split,
        photos=photos,
        stages=stages,
        core_rate=1000 / sum(stages.values()),
        core_share=core_share,
        workers=loader.num_workers,
        loader_rate=rate,
        batch_size=loader.batch_size,
        num_photos=len(loader.dataset),
        cores=usable_cores(),
        is_resized_copy=any(
            Path(getattr(d, 'data_root', None) or os.devnull, SETTINGS_FILE).is_file()
            for d in inner_datasets(loader.dataset)
        ),
    )


def _build_loader(cfg: Config, split: str, workers: int | None) -> DataLoader:
    loader_cfg = cfg.get(f'{split}_dataloader')
    if loader_cfg is None:
        reason = f', because {cfg.evaluate_only}' if 'evaluate_only' in cfg else ''
        raise ValueError(f'the config has no {split}_dataloader{reason}')
    loader_cfg = loader_cfg.copy()
    if workers is not None:
        loader_cfg.num_workers = workers
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    loader = PortableRunner.build_dataloader(loader_cfg, seed=seed)
    if loader.batch_sampler is None or isinstance(loader.dataset, IterableDataset):
        raise ValueError(f'{split}_dataloader.dataset gives a stream: its samples have no index')
    if len(loader) == 0:
        raise ValueError(f'{split}_dataloader has no batch: {len(loader.dataset)} samples in all')
    return loader


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let OpenCV and torch work as in a worker of a loader, which has one thread."""
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def _time_stages(loader: DataLoader, photos: int, bar: Progress) -> tuple[dict[str, float], float]:
    """Make samples and batches in this process.

    Returns:
        tuple: Milliseconds a photo of each stage, and the share of a core that this process had.
    """
    dataset = loader.dataset
    is_seeded = any(isinstance(d, SeededSamplesMixin) for d in inner_datasets(dataset))
    task = bar.add_task('one core', total=photos)
    for index in next(iter(loader.batch_sampler))[:WARM_UP]:
        dataset[int(index)]
    clock = StageClock()
    clock.add(LABELS, 0.0)  # the first in the table
    made = 0
    began, worked = time.perf_counter(), time.thread_time()
    with clock.on_pipelines(dataset):
        for batch in _endless(loader.batch_sampler):
            samples = []
            for index in batch[: photos - made]:
                if is_seeded and isinstance(index, SampleIndex):
                    with clock.stage(SEEDING):
                        seed_generators(index.seed)
                start, timed = time.perf_counter(), sum(clock.seconds.values())
                samples.append(dataset[int(index)])
                whole = time.perf_counter() - start
                clock.add(LABELS, whole - (sum(clock.seconds.values()) - timed))
                bar.advance(task)
            with clock.stage(COLLATION):
                loader.collate_fn(samples)
            made += len(samples)
            if made == photos:
                break
    elapsed, worked = time.perf_counter() - began, time.thread_time() - worked
    share = min(worked / (elapsed - clock.seconds.get(READING, 0.0)), 1.0)
    return {name: 1000 * seconds / made for name, seconds in clock.seconds.items()}, share


def _time_loader(loader: DataLoader, photos: int, bar: Progress) -> float:
    """Return the photos a second that come through the loader."""
    per_batch = len(next(iter(loader.batch_sampler)))
    warm_up = max(loader.num_workers, 1)
    timed = max(ceil(photos / per_batch), 4 * loader.num_workers)
    task = bar.add_task(f'{loader.num_workers} workers', total=warm_up + timed)
    start = made = 0
    for number, batch in enumerate(_endless(loader), 1):
        bar.advance(task)
        if number > warm_up:
            made += _photos_in(batch)
        if number == warm_up:
            start = time.perf_counter()
        if number == warm_up + timed:
            break
    return made / (time.perf_counter() - start)


def _endless(batches: Iterable) -> Iterator:
    """Begin again where there are no more; a loader that lasts keeps its workers."""
    while True:
        yield from batches


def _photos_in(batch: Sequence | Mapping) -> int:
    """Return the number of samples in a collated batch."""
    if isinstance(batch, Mapping):
        return len(batch.get('data_samples', next(iter(batch.values()))))
    return len(batch[0])


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
