"""Throughput of a config's data loader, and the time of each stage of its pipeline."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice, repeat
from math import ceil

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ..datasets.dataset_wrappers import inner_datasets
from ..datasets.parallel_map import usable_cores
from ..datasets.seeded_sampler import (
    SampleIndex,
    SeededSamplesMixin,
    sample_random_state,
    seed_generators,
)
from ..engine import PortableRunner
from ..fileio.terminal import progress_bar
from .browse.dataset_split import dataloader_config

READING = 'reading the file'
WARM_UP = 8  # images, on which libraries are loaded and buffers made


@dataclass(frozen=True)
class LoaderSpeed:
    """What :func:`loader_speed` measured.

    The ``stages`` are ``'labels'`` (the dataset without its pipeline), ``'seeding'``, ``'reading
    the file'``, the transforms by name, and ``'collation'``. ``core_share`` is the share of their
    time, reading left out, in which this process had the core; it is below 1 where other programs
    use it, or where a stage waits.
    """

    split: str  # 'train', 'val' or 'test'
    photos: int  # samples that the stages were measured on
    stages: dict[str, float]  # milliseconds per image on one core
    core_rate: float  # images per second of one core: all stages together
    core_share: float
    workers: int  # processes of the loader; 0 is the main process
    loader_rate: float  # images per second through the loader
    batch_size: int | None  # of the loader; None if a batch sampler decides
    num_photos: int  # samples in the dataset
    cores: int  # that this process may use


def loader_speed(
    cfg: Config, split: str = 'train', photos: int = 1000, workers: int | None = None
) -> LoaderSpeed:
    """Measure the data loader of a config, built as training builds it, with a progress bar.

    First, one thread of this process makes ``photos`` samples, in the order and under the seeds of
    the first epoch. Then batches come through the loader: as many as hold ``photos``, at least four
    per worker, after one batch per worker that is not timed. A small dataset is repeated. The
    loader finds the files in memory, so a slow disk shows in ``'reading the file'`` only. There are
    ``workers`` processes, by default the config's ``num_workers``.

    Raises ``ValueError`` if a number is out of its range, the config has no such split, or its data
    is not a list of samples; ``FileNotFoundError`` if the data is not there.
    """
    for name, number, low in (('photos', photos, 1), ('workers', workers, 0)):
        if number is not None and number < low:
            raise ValueError(f'{name} must be at least {low}, but got {number}')
    loader = _build_loader(cfg, split, workers)
    with progress_bar() as bar, _one_thread(), sample_random_state(0):
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
    )


def _build_loader(cfg: Config, split: str, workers: int | None) -> DataLoader:
    loader_cfg = dataloader_config(cfg, split).copy()
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
    """Return the milliseconds per image of each stage, and the share of a core that was had."""
    dataset, batches = loader.dataset, loader.batch_sampler
    is_seeded = any(isinstance(d, SeededSamplesMixin) for d in inner_datasets(dataset))
    task = bar.add_task('one core', total=photos)
    for index in next(iter(batches))[:WARM_UP]:
        dataset[int(index)]
    clock = StageClock()
    clock.seconds['labels'] = 0.0  # the first in the table
    made = 0
    began, worked = time.perf_counter(), time.thread_time()
    with clock.on_pipelines(dataset):
        for batch in chain.from_iterable(repeat(batches)):
            samples = []
            for index in batch[: photos - made]:
                if is_seeded and isinstance(index, SampleIndex):
                    with clock.stage('seeding'):
                        seed_generators(index.seed)
                start, in_pipeline = time.perf_counter(), sum(clock.seconds.values())
                samples.append(dataset[int(index)])
                in_pipeline = sum(clock.seconds.values()) - in_pipeline
                clock.seconds['labels'] += time.perf_counter() - start - in_pipeline
                bar.advance(task)
            with clock.stage('collation'):
                loader.collate_fn(samples)
            made += len(samples)
            if made == photos:
                break
    elapsed, worked = time.perf_counter() - began, time.thread_time() - worked
    share = min(worked / (elapsed - clock.seconds.get(READING, 0.0)), 1.0)
    return {name: 1000 * seconds / made for name, seconds in clock.seconds.items()}, share


def _time_loader(loader: DataLoader, photos: int, bar: Progress) -> float:
    """Return the images per second that come through the loader."""
    batches = chain.from_iterable(repeat(loader))  # restarts: a loader that lasts keeps its workers
    warm_up = max(loader.num_workers, 1)
    timed = max(ceil(photos / len(next(iter(loader.batch_sampler)))), 4 * loader.num_workers)
    task = bar.add_task(f'{loader.num_workers} workers', total=warm_up + timed)
    for number, _ in enumerate(islice(batches, warm_up + timed), 1):
        bar.advance(task)
        if number == warm_up:
            start = time.perf_counter()
    seconds = time.perf_counter() - start
    sizes = map(len, chain.from_iterable(repeat(loader.batch_sampler)))
    return sum(islice(sizes, warm_up, warm_up + timed)) / seconds


class StageClock:
    """Seconds by the name of the stage, in the order in which the stages were first met."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start

    @contextmanager
    def on_pipelines(self, dataset: Dataset) -> Iterator[None]:
        """Time each transform of a dataset, and of those that it wraps, for a while.

        A stage has the name of its transform's class, with a number from the second on. Transforms
        inside another one (``RandomApply``) count as that one. Before the first transform the file
        at ``img_path`` is read, as a stage of its own, so that the disk's part is known.
        """
        pipelines = [getattr(each, 'pipeline', None) for each in inner_datasets(dataset)]
        lists = [(pipeline, getattr(pipeline, 'transforms', None)) for pipeline in pipelines]
        originals = [(pipeline, steps) for pipeline, steps in lists if isinstance(steps, list)]
        try:
            for pipeline, transforms in originals:
                numbers = Counter()
                pipeline.transforms = [self._read, *(self._timed(t, numbers) for t in transforms)]
            yield
        finally:
            for pipeline, transforms in originals:
                pipeline.transforms = transforms

    def _timed(self, transform: Callable, numbers: Counter) -> Callable:
        name = getattr(transform, '__name__', type(transform).__name__)
        numbers[name] += 1
        stage = name if numbers[name] == 1 else f'{name} {numbers[name]}'

        def call(results):
            with self.stage(stage):
                return transform(results)

        return call

    def _read(self, results):
        path = results.get('img_path') if isinstance(results, dict) else None
        if path is not None and os.path.isfile(path):  # else it is behind a file backend
            with self.stage(READING), open(path, 'rb') as file:
                file.read()
        return results


def print_loader_speed(speed: LoaderSpeed, gpu_rate: float | None, console: Console) -> None:
    """Print the stages as a table, the rates, and the cores that a GPU needs.

    ``gpu_rate`` is the images per second that it trains; None prints the rule.
    """
    table = Table(title=f'{speed.split}: one sample on one core', title_justify='left')
    table.add_column('stage')
    table.add_column('ms', justify='right')
    table.add_column('share', justify='right')
    table.add_column()
    total = sum(speed.stages.values())
    for stage, ms in speed.stages.items():
        table.add_row(stage, f'{ms:.2f}', f'{ms / total:.0%}', '█' * round(30 * ms / total))
    table.add_section()
    table.add_row('all', f'{total:.2f}', '', f'{speed.core_rate:,.0f} images/s')
    console.print(table)
    console.print(f'mean of {speed.photos:,} images, after {WARM_UP} to warm up')
    if speed.core_share < 0.9:
        console.print(
            f'This process had {speed.core_share:.0%} of its core: other programs run here (then '
            'the machine can do better), or a stage waits for something.'
        )
    workers = f'{speed.workers} workers' if speed.workers else 'no workers'
    console.print(
        f'\nthrough the loader ({workers}, {speed.cores} cores here): '
        f'[bold]{speed.loader_rate:,.0f} images/s[/bold]; an epoch of {speed.num_photos:,} samples '
        f'in {speed.num_photos / speed.loader_rate / 60:,.1f} min'
    )
    if gpu_rate is None:
        gpu, cores = 'X', f'X / {speed.core_rate:,.0f} cores'
    else:
        gpu, cores = f'{gpu_rate:,.0f}', f'[bold]{gpu_rate / speed.core_rate:,.1f} cores[/bold]'
    hint = '; --gpu-photos-per-second X does the sum' if gpu_rate is None else ''
    console.print(
        f'A GPU that trains {gpu} images/s is kept busy by {cores} like these, with as many '
        f'workers{hint}.'
    )
