"""Oracle: LVIS' repeat factors by hand, and ``SeededSampler`` for the order and the ranks."""

import math
from collections import Counter

import numpy as np
import pytest
from mmengine.dataset import sampler as host_sampler
from mmpretrain.registry import DATA_SAMPLERS

from mmpretrain_mldecoder.datasets import ClassBalancedSampler, SeededSampler

NUM_IMAGES = 60


class Images:
    """60 images: all have class 0, every 10th class 1, one class 2, the last one none."""

    def __len__(self):
        return NUM_IMAGES

    def get_data_info(self, index):
        labels = [0, *[1] * (index % 10 == 0), *[2] * (index == 7)]
        return dict(gt_label=labels if index < NUM_IMAGES - 1 else [])


# sqrt(0.4 / f) of f = 0.1 and 1 / 60
FACTORS = {**dict.fromkeys(range(0, 60, 10), 2.0), 7: math.sqrt(24)}


def sampler_of(monkeypatch, rank=0, world_size=1, epoch=0, seed=7, **kwargs):
    monkeypatch.setattr(host_sampler, 'get_dist_info', lambda: (rank, world_size))
    sampler = DATA_SAMPLERS.build(
        dict(
            type='ClassBalancedSampler',
            dataset=Images(),
            oversample_thr=0.4,
            seed=seed,
            **kwargs,
        )
    )
    sampler.set_epoch(epoch)
    return sampler


def drawn(sampler):
    return [(int(index), index.seed) for index in sampler]


def test_images_are_repeated_by_their_factors(monkeypatch):
    sampler = sampler_of(monkeypatch)
    factors = [FACTORS.get(i, 1.0) for i in range(NUM_IMAGES)]
    assert sampler.factors.tolist() == pytest.approx(factors)
    assert len(sampler) == round(sum(factors)) == 70
    total = Counter()
    for epoch in range(400):
        sampler.set_epoch(epoch)
        copies = np.bincount(sampler.images_of_epoch(), minlength=NUM_IMAGES)
        # 70 of 69.9: a whole factor may be rounded up once in a while
        assert (copies >= np.floor(factors)).all() and (copies <= np.ceil(factors) + 1).all()
        assert copies.sum() == 70
        total.update(dict(enumerate(copies.tolist())))
    # A mean of 400 epochs of what is rounded up or down: 5 standard deviations are 0.125.
    for image, factor in enumerate(factors):
        assert total[image] / 400 == pytest.approx(factor * 70 / sum(factors), abs=0.125)


def test_rounding_does_not_pair_neighbours(monkeypatch):
    """Of images with a factor of 1.5 any two may be repeated in one epoch."""
    sampler = sampler_of(monkeypatch)
    sampler.factors = np.full(46, 1.5)
    sampler.dataset = range(69)
    together = np.zeros((46, 46), bool)
    for epoch in range(60):
        sampler.set_epoch(epoch)
        twice = np.bincount(sampler.images_of_epoch()) == 2
        assert twice.sum() == 23
        together |= np.outer(twice, twice)
    assert together.all()


def test_epochs_and_seeds_differ_and_copies_too(monkeypatch):
    first = drawn(sampler_of(monkeypatch))
    assert drawn(sampler_of(monkeypatch)) == first
    assert len({seed for _, seed in first}) == 70
    assert [i for i, _ in first] != sorted(i for i, _ in first)
    for other in (dict(epoch=1), dict(seed=8)):
        assert not {seed for _, seed in drawn(sampler_of(monkeypatch, **other))} & {
            seed for _, seed in first
        }
    ascending = [i for i, _ in drawn(sampler_of(monkeypatch, shuffle=False))]
    assert ascending == sorted(ascending)


@pytest.mark.parametrize('options', [{}, dict(shuffle=False), dict(round_up=False)])
@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_ranks_and_a_resume_share_one_order(monkeypatch, world_size, options):
    whole = drawn(sampler_of(monkeypatch, epoch=3, **options))
    images = sampler_of(monkeypatch, epoch=3).images_of_epoch().tolist()
    assert sorted(image for image, _ in whole) == images
    for done in (0, 12, 60):
        steps = []
        for rank in range(world_size):
            ours = sampler_of(monkeypatch, rank, world_size, epoch=3, **options)
            places = SeededSampler(range(70), seed=7, **options)  # of images in those of the epoch
            places.set_epoch(3)
            for sampler in (ours, places):
                sampler.skip_images(done)
            found = drawn(ours)
            assert found == [(images[place], seed) for place, seed in drawn(places)]
            size = 12 // world_size
            steps.append([found[start : start + size] for start in range(0, len(found), size)])
        # each whole step has the images, and their seeds, of one unbroken process
        for number, step in enumerate(zip(*steps, strict=True)):
            start = done + 12 * number
            together = sorted(sample for rank in step for sample in rank)
            if start + 12 <= 70:
                assert together == sorted(whole[start : start + 12])
            else:  # filled up
                assert {*together} >= {*whole[start:]}


def test_without_rare_classes_it_is_seeded_sampler(monkeypatch):
    monkeypatch.setattr(host_sampler, 'get_dist_info', lambda: (0, 1))
    ours = ClassBalancedSampler(Images(), oversample_thr=0.01, seed=3)
    theirs = SeededSampler(Images(), seed=3)
    assert drawn(ours) == drawn(theirs)


@pytest.mark.parametrize('threshold', [0, -0.1, 1.5, math.nan])
def test_threshold_is_a_fraction(threshold):
    with pytest.raises(ValueError, match=r'oversample_thr must be in \(0, 1\]'):
        ClassBalancedSampler(Images(), oversample_thr=threshold)
