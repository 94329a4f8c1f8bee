"""The known labels of all samples of a dataset, for class counts and balanced sampling."""

from dataclasses import dataclass

import numpy as np
from mmengine.dataset import ConcatDataset, RepeatDataset
from torch.utils.data import Dataset

from .coco_samples import CocoSamples
from .seeded_sampler import SeededDataset
from .transforms import PackMultiLabelInputs

_BITS = 32  # of the class in the code of a label; the others are the sample
_CLASS = 2**_BITS - 1


@dataclass(frozen=True)
class KnownLabels:
    """Which classes each sample is known to have, and of which it is unknown.

    Labels are coded as ``sample << 32 | class``, each once.
    """

    positive: np.ndarray  # int64
    unknown: np.ndarray  # int64, none of the positive ones, none of the open samples
    is_open: np.ndarray  # bool, (N,): all classes but the positive ones are unknown

    @property
    def num_samples(self) -> int:
        """The number of samples ``N``."""
        return len(self.is_open)

    def class_counts(self, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return how many samples are known to have each class, and to lack it, ``(C,)``."""
        of_closed = self.positive[~self.is_open[self.positive >> _BITS]]
        positives, *not_negative = (
            np.bincount(codes & _CLASS, minlength=num_classes)
            for codes in (self.positive, of_closed, self.unknown)
        )
        if (highest := max(map(len, (positives, *not_negative)))) > num_classes:
            raise ValueError(
                f'there is a label {highest - 1}, but there are {num_classes} classes: correct the '
                'label, or metainfo.classes'
            )
        return positives, (~self.is_open).sum() - sum(not_negative)

    def unknown_per_sample(self, num_classes: int) -> np.ndarray:
        """Return of how many classes it is unknown whether each sample has them, ``(N,)``."""
        positives, unknown = (
            np.bincount(codes >> _BITS, minlength=self.num_samples)
            for codes in (self.positive, self.unknown)
        )
        return np.where(self.is_open, num_classes - positives, unknown)

    def repeat_factors(self, oversample_thr: float) -> np.ndarray:
        """Return how often an epoch should have each sample, ``(N,)``, at least once.

        A class of which a fraction ``f < oversample_thr`` of the samples is positive is repeated
        ``sqrt(oversample_thr / f)`` times, and a sample as often as the rarest of its classes.

        Source: Gupta et al., "LVIS", arXiv:1908.03195, appendix B.
        """
        samples, classes = self.positive >> _BITS, self.positive & _CLASS
        fractions = np.bincount(classes) / self.num_samples
        factors = np.ones(self.num_samples)
        np.maximum.at(factors, samples, np.sqrt(oversample_thr / fractions[classes]))
        return factors


def known_labels(dataset: Dataset) -> KnownLabels:
    """Return the labels of a multi-label dataset, or of what MMEngine's wrappers make of some.

    As in a training, doubtful labels (``gt_label_difficult``) are what ``difficult`` of
    ``PackMultiLabelInputs`` in the pipeline says, else unknown, and those that are not listed what
    its ``absent`` says; a ``gt_score`` above 0.5 is positive, and one below 0 unknown.
    ``COCOMultiLabel`` has arrays; of other datasets each sample is made, which takes seconds per
    100,000 images.

    Raises:
        TypeError: If the samples cannot be made without their images (``get_data_info``).
        ValueError: If a label is no index.
    """
    if isinstance(dataset, SeededDataset):
        return known_labels(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        return _joined([known_labels(part) for part in dataset.datasets])
    if isinstance(dataset, RepeatDataset):
        return _joined([known_labels(dataset.dataset)] * dataset.times)
    samples = getattr(dataset, 'data_list', None)
    if isinstance(samples, CocoSamples):
        positive = _coded(*samples.pairs(samples.labels, samples.label_bounds))
        unknown = np.empty(0, np.int64)
        doubtful = _coded(*samples.pairs(samples.difficult_labels, samples.difficult_bounds))
    elif hasattr(dataset, 'get_data_info'):
        positive, unknown, doubtful = _of_samples(dataset)
    else:
        raise TypeError(
            f'{type(dataset).__name__} has no get_data_info, from which labels are counted: use a '
            'dataset of MMPretrain, or give the numbers in the config'
        )
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    packs = [step for step in steps if isinstance(step, PackMultiLabelInputs)]
    difficult = packs[-1].difficult if packs else 'unknown'
    is_open = bool(packs) and packs[-1].absent == 'unknown'
    if len(doubtful):
        doubtful = np.setdiff1d(doubtful, positive)
        unknown = np.setdiff1d(unknown, doubtful)
        if difficult == 'unknown':
            unknown = np.union1d(unknown, doubtful)
        elif difficult == 'positive':
            positive = np.union1d(positive, doubtful)
    return KnownLabels(
        positive, unknown[:0] if is_open else unknown, np.full(len(dataset), is_open)
    )


def _joined(parts: list[KnownLabels]) -> KnownLabels:
    starts = np.cumsum([0, *(part.num_samples for part in parts[:-1])]) << _BITS
    pairs = list(zip(parts, starts, strict=True))
    positive = np.concatenate([part.positive + start for part, start in pairs])
    unknown = np.concatenate([part.unknown + start for part, start in pairs])
    return KnownLabels(positive, unknown, np.concatenate([part.is_open for part in parts]))


def _of_samples(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the codes of positive, unknown and doubtful labels."""
    lists: tuple[list, list, list] = ([], [], [])
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        score, doubtful = info.get('gt_score'), info.get('gt_label_difficult')
        found = (
            info.get('gt_label', ()) if score is None else np.flatnonzero(np.array(score) > 0.5),
            () if score is None else np.flatnonzero(np.array(score) < 0),
            () if doubtful is None else doubtful,
        )
        try:
            for codes, labels in zip(lists, found, strict=True):
                codes.append(_coded(index, np.asarray(labels, np.int64).ravel()))
        except ValueError as error:
            raise ValueError(
                f'the labels of image {index} are {labels}, but must be indices of the classes'
            ) from error
    positive, unknown, doubtful = (np.unique(np.concatenate(codes)) for codes in lists)
    return positive, unknown, doubtful


def _coded(samples: np.ndarray | int, labels: np.ndarray) -> np.ndarray:
    return (samples << _BITS) + labels
