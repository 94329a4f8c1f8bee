"""Paths, sizes and labels of one split of a config's data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config, ConfigDict
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from ...datasets.dataset_wrappers import inner_datasets
from ...datasets.skip_unreadable import SkipUnreadableMixin

SPLITS = ('train', 'val', 'test')


class LabelLists:
    """Labels of N images in two arrays, each label once per image.

    Attributes:
        labels (np.ndarray): int64, those of the first image, of the second, and so on.
        per_image (np.ndarray): ``(N,)``, number of labels of each image.
    """

    def __init__(self, lists: Iterable[Sequence[int]]):
        unique = [np.unique(np.asarray(labels, np.int64)) for labels in lists]
        self.labels = np.concatenate([np.zeros(0, np.int64), *unique])
        self.per_image = np.array([len(labels) for labels in unique], np.int64)
        self._ends = self.per_image.cumsum()

    def __getitem__(self, index: int) -> np.ndarray:
        end = self._ends[index]
        return self.labels[end - self.per_image[index] : end]

    def counts(self, num_classes: int) -> np.ndarray:
        """Number of images that have each label, ``(C,)``."""
        return np.bincount(self.labels, minlength=num_classes)

    def together(self, classes: Sequence[int]) -> np.ndarray:
        """Count the images that have both of two labels, ``(K, K)``, for K labels."""
        rows = np.repeat(np.arange(len(self.per_image)), self.per_image)
        # float32 counts exactly up to 2**24 images, and is multiplied by a fast library
        present = np.zeros((len(self.per_image), len(classes)), np.float32)
        for column, label in enumerate(classes):
            present[rows[self.labels == label], column] = 1
        return (present.T @ present).astype(np.int64)


@dataclass(frozen=True)
class DatasetSplit:
    """The images and labels of one split.

    Attributes:
        name: ``'train'``, ``'val'`` or ``'test'``.
        dataset: As training has it, pipeline included, but without the check of its files, and
            without ``RepeatDataset`` and ``ClassBalancedDataset`` around it: each image once.
        paths: Of the images, in the order of the dataset.
        sizes: Height and width by the annotations, or None, for each.
        labels: Of the images.
        classes: Their names.
        loader: The transform that reads its images.
    """

    name: str
    dataset: Dataset
    paths: list[str]
    sizes: list[tuple[int, int] | None]
    labels: LabelLists
    classes: tuple[str, ...]
    loader: LoadImageFromFile

    def labels_of(self, index: int) -> list[str]:
        """Return the names of the labels of an image."""
        return [self.classes[label] for label in self.labels[index]]


def default_splits(cfg: Config) -> list[str]:
    """Return which of train, val and test a config has; test only if its data is not val's."""
    data = {}
    for name in SPLITS:
        if (dataloader := cfg.get(f'{name}_dataloader')) is not None:
            data[name] = dict(dataloader.dataset, pipeline=None, test_mode=None)
    return [name for name in data if name != 'test' or data['test'] != data.get('val')]


def dataloader_config(cfg: Config, name: str) -> ConfigDict:
    """Return the dataloader of a split.

    Raises:
        ValueError: If the config has no such split.
    """
    dataloader = cfg.get(f'{name}_dataloader')
    if dataloader is None:
        reason = f', because {cfg.evaluate_only}' if 'evaluate_only' in cfg else ''
        raise ValueError(f'the config has no {name}_dataloader{reason}')
    return dataloader


def read_split(cfg: Config, name: str) -> DatasetSplit:
    """Read paths and labels of a split; files that are missing are no error here.

    Args:
        cfg (Config): As ``engine.runners.launch.load_config`` gives it.
        name (str): ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ValueError: If the config has no such split, or its dataset has no list of image files
            with labels from 0 to the number of classes - 1.
        FileNotFoundError: If the annotations are not there.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = _build(dataloader_config(cfg, name).dataset, name)
    paths, sizes, labels = [], [], []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if 'img_path' not in info:
            raise ValueError(
                f'{name}_dataloader.dataset has no img_path in its samples: only datasets whose '
                'images are files can be browsed'
            )
        paths.append(info['img_path'])
        has_size = {'height', 'width'} <= info.keys()
        sizes.append((info['height'], info['width']) if has_size else None)
        if 'gt_score' in info:
            labels.append(np.flatnonzero(np.asarray(info['gt_score']) > 0))
        else:
            labels.append(np.atleast_1d(info.get('gt_label', ())))
    labels = LabelLists(labels)
    classes = _class_names(dataset, labels, name)
    return DatasetSplit(name, dataset, paths, sizes, labels, classes, _loader_of(dataset))


def _build(dataset_cfg: ConfigDict, name: str) -> Dataset:
    """Build a dataset and load its annotations without looking for its files."""
    try:
        dataset = DATASETS.build(_lazily(dataset_cfg))
        while isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
            dataset = dataset.dataset
        for inner in inner_datasets(dataset):
            if isinstance(inner, SkipUnreadableMixin):
                inner.checks_files = False  # missing ones are found later, all of them
        dataset.full_init()
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f'{name}_dataloader.dataset cannot be read: {error}') from error
    return dataset


def _lazily(dataset_cfg: ConfigDict) -> ConfigDict:
    """Return the config with ``lazy_init`` set, in the datasets that it wraps, too."""
    lazy = ConfigDict(dataset_cfg, lazy_init=True)
    if 'dataset' in lazy:
        lazy.dataset = _lazily(lazy.dataset)
    if 'datasets' in lazy:
        lazy.datasets = [_lazily(inner) for inner in lazy.datasets]
    return lazy


def _class_names(dataset: Dataset, labels: LabelLists, name: str) -> tuple[str, ...]:
    """Return the names of the classes, numbers where the dataset has none."""
    found = [getattr(inner, 'metainfo', {}).get('classes') for inner in inner_datasets(dataset)]
    low, high = (labels.labels.min(), labels.labels.max()) if len(labels.labels) else (0, -1)
    classes = next(filter(None, found), [f'class {i}' for i in range(high + 1)])
    if low < 0 or high >= len(classes):
        raise ValueError(
            f'{name}_dataloader.dataset has labels from {low} to {high}, but {len(classes)} classes'
        )
    return tuple(map(str, classes))


def _loader_of(dataset: Dataset) -> LoadImageFromFile:
    """Return the first loader of the pipeline; the host's with its defaults if there is none."""
    for inner in inner_datasets(dataset):
        for transform in getattr(getattr(inner, 'pipeline', None), 'transforms', ()):
            if isinstance(transform, LoadImageFromFile):
                return transform
    return LoadImageFromFile()
