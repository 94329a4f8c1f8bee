"""Sampler that repeats the images of rare classes, in an order that can be resumed."""

from collections.abc import Iterator

import numpy as np
from mmengine.logging import print_log
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Dataset

from .known_labels import known_labels
from .seeded_sampler import SampleIndex, SeededSampler, sample_seed


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(SeededSampler):
    """:class:`SeededSampler` that repeats images of rare classes, by LVIS' repeat factors.

    An image counts ``r`` times, ``r`` as in :meth:`KnownLabels.repeat_factors`. An epoch has the
    sum of all ``r`` images, rounded: each image ``r`` times, rounded up or down, so that it is
    ``r`` times on average over the epochs. Each copy has an augmentation of its own.

    Which images an epoch has, in which order and with which seeds, follows from (seed, epoch)
    alone, as all ranks share it and a resume continues it.

    Differs from MMEngine's ``ClassBalancedDataset`` in: that rounds all factors up, so that 1.01
    is 2. Differs from Detectron2's ``RepeatFactorTrainingSampler`` in: that rounds each image by
    itself, so that epochs have different lengths.

    Args:
        dataset (Dataset): See :func:`known_labels`.
        oversample_thr (float): Classes that a smaller fraction of the images has are repeated, in
            ``(0, 1]``.
        **kwargs: ``shuffle``, ``seed`` and ``round_up`` of ``DefaultSampler``.

    Raises:
        ValueError: If ``oversample_thr`` is outside its range.
    """

    def __init__(self, dataset: Dataset, oversample_thr: float, **kwargs):
        if not 0 < oversample_thr <= 1:
            raise ValueError(f'oversample_thr must be in (0, 1], but is {oversample_thr}')
        self.factors = known_labels(dataset).repeat_factors(oversample_thr)
        length = round(self.factors.sum())
        print_log(
            f'ClassBalancedSampler: an epoch has {length} images, {len(self.factors)} different '
            f'ones; {(self.factors > 1).sum()} are repeated, up to {self.factors.max():.1f} times',
            'current',
        )
        super().__init__(range(length), **kwargs)  # positions in the images of an epoch

    def __iter__(self) -> Iterator[SampleIndex]:
        images = self.images_of_epoch()
        for position in super().__iter__():
            yield SampleIndex(images[position], position.seed)

    def images_of_epoch(self) -> np.ndarray:
        """Return the images of the present epoch, repeated and in ascending order."""
        length = len(self.dataset)
        rng = np.random.RandomState(sample_seed(self.seed, self.epoch, length))
        # Systematic sampling: images lie one after the other on a line, each as long as its factor,
        # and are taken once for each mark on them; marks are 1 apart, the first one at random. The
        # order is random, or the same neighbours would always share a mark.
        order = rng.permutation(len(self.factors))
        ends = np.cumsum(self.factors[order])
        ends *= length / ends[-1]
        ends[-1] = length
        copies = np.empty(len(order), np.int64)
        copies[order] = np.diff(np.floor(ends + rng.random_sample()), prepend=0)
        return np.repeat(np.arange(len(order)), copies)
