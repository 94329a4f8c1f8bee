"""Sampler and dataset mixin with which augmentation follows from the seed, the epoch and the image.

The sampler sends a seed along with each index, and the dataset makes the sample under that seed.
Any number of workers or ranks then gives the same samples, and a resumed run, whose workers are
fresh, continues as an uninterrupted one would have.
"""

import copy
import gc
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from types import FunctionType, ModuleType

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmpretrain.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, get_worker_info

from .dataset_wrappers import inner_datasets

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
# The generators of the modules, seeded by themselves.
_GLOBAL = {
    id(random.random.__self__),
    id(np.random.rand.__self__),
    id(torch.default_generator),
}


class SampleIndex(int):
    """An index into a dataset that carries the random seed of its sample, in ``[0, 2**32)``.

    ``-`` and ``%`` keep the seed: with them MMEngine's ``ConcatDataset`` and ``RepeatDataset``
    turn an index into that of the dataset they wrap. (``ClassBalancedDataset`` looks the index up
    in a list and loses the seed.) Other arithmetic gives a plain int.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> 'SampleIndex':
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __reduce__(self):
        return SampleIndex, (int(self), self.seed)

    def __sub__(self, other: int) -> 'SampleIndex':
        return SampleIndex(int(self) - other, self.seed)

    def __mod__(self, other: int) -> 'SampleIndex':
        return SampleIndex(int(self) % other, self.seed)


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's ``DefaultSampler`` whose indices carry the seed of their sample.

    The indices and their order are those of ``DefaultSampler``, whose arguments it takes. Each is
    a :class:`SampleIndex` whose seed follows from (seed of the sampler, epoch, index) alone: it is
    the same for any number of ranks and workers, and another one in each epoch. The dataset must
    be one with :class:`SeededSamplesMixin`, such as :class:`SeededDataset`, in which
    ``PortableRunner`` wraps any other: that takes the indices as plain ints.

    An epoch can begin in the middle, see :meth:`skip_images`; its length stays the full one.

    Example:
        >>> sampler = SeededSampler(range(4), seed=0)
        >>> [int(index) for index in sampler] == list(DefaultSampler(range(4), seed=0))
        True
    """

    num_skipped = 0

    def skip_images(self, num_images: int) -> None:
        """Skip the first images of each epoch that begins from now on; 0 for full epochs.

        Counted are those of all ranks together, however many these were: they take turns in one
        order.
        """
        self.num_skipped = num_images

    def __iter__(self) -> Iterator[SampleIndex]:
        seed, epoch = self.seed, self.epoch
        for index in self._rest() if self.num_skipped else super().__iter__():
            yield SampleIndex(index, sample_seed(seed, epoch, index))

    def _rest(self) -> list[int]:
        """Return the indices of this rank, without the first ``num_skipped`` of all ranks."""
        single = copy.copy(self)
        single.rank, single.world_size, single.total_size = 0, 1, len(self.dataset)
        order = list(DefaultSampler.__iter__(single))
        rest = order[self.num_skipped :]
        if self.round_up:
            rest += islice(cycle(order), -len(rest) % self.world_size)
        return rest[self.rank :: self.world_size]


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Return the seed that :class:`SeededSampler` gives to a sample; ``epoch`` is from 0."""
    return np.random.SeedSequence((seed, epoch, index)).generate_state(1).item()


@contextmanager
def sample_random_state(seed: int) -> Iterator[None]:
    """Do as :func:`seed_generators`, and restore the states at the end.

    In a worker of a ``DataLoader`` nothing is restored: it makes samples only, each under its own
    seed, and saving the states takes ten times as long as seeding. Whatever else draws there, a
    ``collate_fn`` perhaps, continues from the last sample of its batch.
    """
    if get_worker_info() is not None:
        seed_generators(seed)
        yield
        return
    states = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    try:
        seed_generators(seed)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


def seed_generators(seed: int) -> None:
    """Seed ``random``, ``numpy.random`` and torch on the CPU with a seed in ``[0, 2**32)``."""
    random.seed(seed)
    np.random.seed(seed)
    # numpy and torch have the same generator, and the same seed would give the same numbers
    torch.default_generator.manual_seed(seed ^ 0xFFFF_FFFF)


def held_generators(holder: object) -> Iterator[object]:
    """Yield what draws random numbers below a pipeline or transform, beside the global generators.

    That is generators of Python, numpy and torch in whatever it refers to (attributes, containers,
    closures), and objects with a ``set_random_seed``, as Albumentations from 2 on has.
    """
    seen = {*_GLOBAL}
    waiting = [holder]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | ModuleType | str | bytes):
            continue
        seen.add(id(value))
        if isinstance(value, _GENERATORS) or callable(getattr(value, 'set_random_seed', None)):
            yield value
        elif isinstance(value, FunctionType):
            waiting.append(value.__closure__)  # not its module
        elif not isinstance(value, np.ndarray | torch.Tensor):
            waiting += gc.get_referents(value)[::-1]


def seed_held(generator: object, seed: int) -> None:
    """Seed one of :func:`held_generators` in place."""
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        bits.state = type(bits)(seed).state
    elif isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.RandomState | random.Random):
        generator.seed(seed)
    else:
        generator.set_random_seed(seed)


class SeededSamplesMixin:
    """Makes a dataset of MMEngine prepare each sample under the seed that its index carries.

    Put it before the dataset class: ``class Seeded(SeededSamplesMixin, SomeDataset)``. The seed
    holds for the whole pipeline, also for transforms with generators of their own
    (:func:`held_generators`), and for the choice of a replacement when the pipeline gives no
    sample, see :func:`sample_random_state`. With a plain int nothing is seeded.
    """

    _seeded_pipelines: Sequence = ()
    _generators: Sequence[tuple[object, int]] = ()  # of these pipelines, with what sets them apart

    def __getitem__(self, idx: int) -> dict:
        if not isinstance(idx, SampleIndex):
            return super().__getitem__(idx)
        pipelines = [getattr(each, 'pipeline', None) for each in inner_datasets(self)]
        if pipelines != self._seeded_pipelines:
            self._seeded_pipelines = pipelines
            self._generators = [
                (generator, number * 0x9E37_79B1)
                for pipeline in pipelines
                for number, generator in enumerate(held_generators(pipeline), start=1)
            ]
        for generator, offset in self._generators:
            seed_held(generator, (idx.seed + offset) % 2**32)
        with sample_random_state(idx.seed):
            # a plain int, because MMEngine stores it in the sample as `sample_idx`
            return super().__getitem__(int(idx))


class _Wrapper(Dataset):
    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> dict:
        return self.dataset[idx]

    def __getattr__(self, name: str):
        if name == 'dataset':  # not there yet: it is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def pipeline(self):
        """The pipeline of the dataset, which hooks replace in the course of a training."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline) -> None:
        self.dataset.pipeline = pipeline


class SeededDataset(SeededSamplesMixin, _Wrapper):
    """Any dataset, its samples prepared as :class:`SeededSamplesMixin` does.

    ``PortableRunner`` wraps those datasets in it that ``SeededSampler`` samples and that are not
    seeded themselves, wrappers such as ``ClassBalancedDataset`` among them. Other attributes are
    those of the dataset.
    """


def build_seeded_dataset(dataset: dict) -> Dataset:
    """Build a dataset from its config, in a :class:`SeededDataset` unless it is seeded itself."""
    built = DATASETS.build(dataset)
    return built if isinstance(built, SeededSamplesMixin) else SeededDataset(built)
