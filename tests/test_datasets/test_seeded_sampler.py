import pickle
import random
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, DefaultSampler, RepeatDataset
from mmengine.dataset import sampler as host_sampler
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader

from mmpretrain_mldecoder.datasets import (
    SampleIndex,
    SeededSampler,
    SeededSamplesMixin,
    sample_random_state,
)
from mmpretrain_mldecoder.datasets.seeded_sampler import held_generators


def draw(info):
    """Random pipeline: one number from each global generator."""
    return dict(info, draws=(random.random(), float(np.random.rand()), float(torch.rand(()))))


class Samples(SeededSamplesMixin, BaseDataset):
    def load_data_list(self):
        return [dict(name=i) for i in range(10)]


def make_loader(num_workers, persistent=False, pipeline=draw, **kwargs):
    dataset = Samples(pipeline=[pipeline])
    return DataLoader(
        dataset,
        batch_size=3,
        sampler=SeededSampler(dataset, seed=5),
        num_workers=num_workers,
        persistent_workers=persistent,
        collate_fn=list,
        **kwargs,
    )


def run_epoch(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return [(sample['name'], sample['draws']) for batch in loader for sample in batch]


def random_states():
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def same_states(first, second):
    return (
        first[0] == second[0]
        and all(np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True))
        and torch.equal(first[2], second[2])
    )


@pytest.mark.parametrize('world_size', [1, 3])
@pytest.mark.parametrize('options', [{}, dict(shuffle=False), dict(round_up=False)])
def test_indices_are_those_of_the_default_sampler(monkeypatch, world_size, options):
    seeds = {}
    for rank in range(world_size):
        monkeypatch.setattr(host_sampler, 'get_dist_info', lambda r=rank: (r, world_size))
        config = dict(type='SeededSampler', dataset=range(10), seed=3, **options)
        ours = DATA_SAMPLERS.build(config)
        host = DefaultSampler(range(10), seed=3, **options)
        assert len(ours) == len(host)
        for epoch in (0, 1, 7):
            ours.set_epoch(epoch)
            host.set_epoch(epoch)
            indices = list(ours)
            assert indices == list(host)
            for index in indices:
                # an index keeps its seed on whatever rank it lands
                assert seeds.setdefault((epoch, int(index)), index.seed) == index.seed
    assert len(seeds) == 30


def test_seeds_differ_by_sampler_seed_epoch_and_index():
    seeds = []
    for seed in range(4):
        sampler = SeededSampler(range(100), seed=seed)
        for epoch in range(4):
            sampler.set_epoch(epoch)
            seeds += [index.seed for index in sampler]
    # 1600 values out of 2**32: two equal ones would be a matter of 1 in 3000
    assert len(set(seeds)) == 1600
    assert all(0 <= seed < 2**32 for seed in seeds)
    # well mixed: each of the 32 bits is set in half of them, within 5 standard deviations (20)
    bits = (np.array(seeds)[:, None] >> np.arange(32)) & 1
    assert np.abs(bits.sum(axis=0) - 800).max() < 100


def test_sample_index_is_an_int_that_keeps_its_seed():
    index = SampleIndex(4, seed=9)
    assert index == 4
    assert 'abcdef'[index] == 'e'
    for other in (pickle.loads(pickle.dumps(index)), index - 3, index % 3):
        assert type(other) is SampleIndex
        assert other.seed == 9
    assert (int(index - 3), int(index % 3)) == (1, 1)


@pytest.mark.parametrize('wrap', [lambda d: ConcatDataset([d, d]), lambda d: RepeatDataset(d, 2)])
def test_wrapped_datasets_get_the_seed(wrap):
    dataset = wrap(Samples(pipeline=[draw]))
    first, second = (dataset[SampleIndex(i, seed=3)] for i in (2, 12))
    assert first['name'] == second['name'] == 2
    assert first['draws'] == second['draws']
    assert dataset[SampleIndex(2, seed=4)]['draws'] != first['draws']


def test_the_three_generators_are_seeded_and_restored():
    np.random.normal()  # leaves a second normal number in store, which must survive
    before = random_states()
    with pytest.raises(KeyError), sample_random_state(2**32 - 1):
        first = draw({})
        raise KeyError
    assert same_states(before, random_states())
    with sample_random_state(2**32 - 1):
        assert draw({}) == first


@pytest.mark.parametrize('num_workers', [0, 1])
def test_each_generator_draws_what_its_own_seed_gives(num_workers):
    """The stream of a seed is fixed: numbers that were published depend on it."""
    dataset = Samples(pipeline=[draw])
    indices = [SampleIndex(i, seed) for i, seed in enumerate([0, 1, 2**31, 2**32 - 1])]
    loader = DataLoader(
        dataset, batch_size=2, sampler=indices, num_workers=num_workers, collate_fn=list
    )
    for index, sample in zip(indices, (s for batch in loader for s in batch), strict=True):
        torch_generator = torch.Generator().manual_seed(2**32 - 1 - index.seed)
        assert sample['draws'] == (
            random.Random(index.seed).random(),
            np.random.RandomState(index.seed).rand(),
            float(torch.rand((), generator=torch_generator)),
        )


def test_samples_depend_neither_on_workers_nor_on_what_came_before():
    # the generator is for the loader itself, which draws a seed for its workers
    unbroken = make_loader(2, True, generator=torch.Generator())
    before = random_states()
    expected = [run_epoch(unbroken, 0), run_epoch(unbroken, 1)]
    assert same_states(before, random_states())  # those of the main process
    assert len({draws for epoch in expected for _, draws in epoch}) == 20
    for num_workers in (0, 1, 2):
        random.seed(0)  # a new process has other states
        torch.manual_seed(0)
        np.random.seed(0)
        loader = make_loader(num_workers)
        assert [run_epoch(loader, epoch) for epoch in (1, 0)] == expected[::-1]


def test_plain_indices_are_not_seeded():
    dataset = Samples(pipeline=[draw])
    assert dataset[3]['draws'] != dataset[3]['draws']
    assert type(dataset[SampleIndex(3, seed=0)]['sample_idx']) is int


class Drawing:
    """A transform that draws from a generator of its own."""

    def __init__(self, generator):
        self.held = [dict(generator=generator)]

    def __call__(self, results):
        generator = self.held[0]['generator']
        if isinstance(generator, torch.Generator):
            draw = torch.rand((), generator=generator).item()
        else:
            draw = generator.random()
        return {**results, 'drawn': [*results.get('drawn', ()), draw]}


class Seedable:
    """As Albumentations' transforms."""

    def set_random_seed(self, seed):
        self._own = random.Random(seed)

    def random(self):
        return self._own.random()


@pytest.mark.parametrize(
    'make',
    [random.Random, np.random.default_rng, np.random.RandomState, torch.Generator, Seedable],
)
def test_generators_of_transforms_follow_the_seed(make):
    dataset = Samples(pipeline=[Drawing(make()), Drawing(make())])
    first = dataset[SampleIndex(3, seed=7)]['drawn']
    other = dataset[SampleIndex(3, seed=8)]['drawn']
    assert dataset[SampleIndex(3, seed=7)]['drawn'] == first
    assert len({*first, *other}) == 4  # neither the samples nor the transforms draw alike
    fresh = Samples(pipeline=[Drawing(make()), Drawing(make())])
    assert fresh[SampleIndex(3, seed=7)]['drawn'] == first


class Slotted:
    __slots__ = ('held',)


def test_generators_are_found_wherever_they_are_held():
    slotted = Slotted()
    generators = [random.Random(), np.random.default_rng(), torch.Generator(), random.Random()]
    slotted.held, second, third, fourth = generators
    held = [slotted, lambda: second, partial(print, (third,)), fourth.uniform]
    assert {*map(id, held_generators(held))} == {*map(id, generators)}
    # Those of the modules are seeded by themselves.
    assert not list(held_generators([random.uniform, np.random.rand, torch.default_generator]))


def rank_sampler(monkeypatch, rank, world_size, num_images, **kwargs):
    monkeypatch.setattr(host_sampler, 'get_dist_info', lambda: (rank, world_size))
    return SeededSampler(range(num_images), seed=7, **kwargs)


def steps(monkeypatch, world_size, num_images, batch_size, num_skipped=0, **kwargs):
    """What each step of an epoch sees: the samples of all ranks."""
    ranks = []
    for rank in range(world_size):
        sampler = rank_sampler(monkeypatch, rank, world_size, num_images, **kwargs)
        sampler.set_epoch(2)
        sampler.skip_images(num_skipped)
        ranks.append([(int(index), index.seed) for index in sampler])
    length = max(map(len, ranks))
    return [
        [sample for rank in ranks for sample in rank[start : start + batch_size]]
        for start in range(0, length, batch_size)
    ]


@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('num_images', [48, 80, 81])
def test_rest_of_an_epoch_on_other_ranks(monkeypatch, num_images, shuffle):
    whole = steps(monkeypatch, 1, num_images, 12, shuffle=shuffle)
    for world_size in (1, 2, 3, 4):
        for done in (1, 2, 3):
            rest = steps(
                monkeypatch, world_size, num_images, 12 // world_size, 12 * done, shuffle=shuffle
            )
            assert len(rest) == len(whole) - done
            # each step has the samples, and their seeds, that one process would have given it
            for found, expected in zip(rest[:-1], whole[done:-1], strict=True):
                assert sorted(found) == sorted(expected)
            assert set(rest[-1]) >= set(whole[-1])
            assert len(rest[-1]) - len(whole[-1]) < world_size  # to fill up, as in a whole epoch


@pytest.mark.parametrize('round_up', [True, False])
def test_rest_of_an_epoch_is_its_end(monkeypatch, round_up):
    for world_size, num_images in ((1, 10), (2, 11), (3, 10), (4, 3)):
        for rank in range(world_size):
            sampler = rank_sampler(monkeypatch, rank, world_size, num_images, round_up=round_up)
            whole = list(sampler)
            for done in range(4):
                sampler.skip_images(done * world_size)
                assert list(sampler) == whole[done:]
                assert len(sampler) == len(whole)
            sampler.skip_images(0)
            assert list(sampler) == whole
