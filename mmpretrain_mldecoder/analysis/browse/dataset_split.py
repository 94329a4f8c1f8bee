"""Paths, sizes and labels of one split of a config's data."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config, ConfigDict
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from ...datasets.dataset_wrappers import inner_datasets
from ...datasets.image_search import left_out_of
from ...datasets.known_labels import KnownLabels, known_labels
from ...datasets.skip_unreadable import SkipUnreadableMixin
from ...fileio.terminal import counted

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class DatasetSplit:
    """The ``N`` images and ``C`` labels of one split.

    ``dataset`` is as training has it, pipeline included, but without the check of its files, and
    without ``RepeatDataset`` and ``ClassBalancedDataset`` around it: each image once.
    """

    name: str  # 'train', 'val' or 'test'
    dataset: Dataset
    paths: list[str]  # of the images, in the order of the dataset
    sizes: list[tuple[int, int] | None]  # height and width by the annotations
    labels: list[np.ndarray]  # int64, each once, ascending, for each image
    classes: tuple[str, ...]  # the names of the labels
    loader: LoadImageFromFile  # the transform that reads the images
    known: KnownLabels  # the labels as a training counts them, and those that are unknown
    left_out: Counter[str] = field(default_factory=Counter)  # no samples, of the class folders

    def labels_of(self, index: int) -> list[str]:
        """Return the names of the labels of an image."""
        return [self.classes[label] for label in self.labels[index]]

    def labels_per_image(self) -> np.ndarray:
        """Count the labels of each image, ``(N,)``."""
        return np.array(list(map(len, self.labels)))

    def images_per_label(self) -> np.ndarray:
        """Count the images that have each label, ``(C,)``."""
        return np.bincount(np.concatenate(self.labels), minlength=len(self.classes))

    def images_with_both(self, labels: Sequence[int]) -> np.ndarray:
        """Count the images that have both of two labels, ``(K, K)``, for K labels."""
        column = np.full(len(self.classes), -1)
        column[labels] = range(len(labels))
        # float32 counts exactly up to 2**24 images, and is multiplied by a fast library
        present = np.zeros((len(self.labels), len(labels) + 1), np.float32)
        for row, of_image in zip(present, self.labels, strict=True):
            row[column[of_image]] = 1  # the last column is that of all others
        return (present.T @ present)[:-1, :-1].astype(np.int64)


def default_splits(cfg: Config) -> list[str]:
    """Return which of train, val and test a config has; test only if its data is not val's."""
    data = {}
    for name in SPLITS:
        if (dataloader := cfg.get(f'{name}_dataloader')) is not None:
            data[name] = dict(dataloader.dataset, pipeline=None, test_mode=None)
    return [name for name in data if name != 'test' or data['test'] != data.get('val')]


def dataloader_config(cfg: Config, name: str) -> ConfigDict:
    """Return the dataloader of a split, or raise ``ValueError`` if there is none."""
    dataloader = cfg.get(f'{name}_dataloader')
    if dataloader is None:
        reason = f', because {cfg.evaluate_only}' if 'evaluate_only' in cfg else ''
        raise ValueError(f'the config has no {name}_dataloader{reason}')
    return dataloader


def read_split(cfg: Config, name: str) -> DatasetSplit:
    """Read paths and labels of a split; files that are missing are no error here.

    Raises ``ValueError`` if the config has no such split, or its dataset has no list of image files
    with labels from 0 to the number of classes - 1; ``FileNotFoundError`` without its annotations.
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
            of_image = np.flatnonzero(np.asarray(info['gt_score']) > 0)
        else:
            of_image = info.get('gt_label', ())
        labels.append(np.unique(np.asarray(of_image, np.int64)))
    classes = _class_names(dataset, labels, name)
    of_folders = [d for d in inner_datasets(dataset) if isinstance(d, CustomDataset)]
    folders = [d.img_prefix for d in of_folders if not d.ann_file and os.path.isdir(d.img_prefix)]
    left_out = sum((left_out_of(folder, set(paths)) for folder in folders), Counter())
    loader = _loader_of(dataset)
    known = known_labels(dataset)
    return DatasetSplit(name, dataset, paths, sizes, labels, classes, loader, known, left_out)


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


def _class_names(dataset: Dataset, labels: list[np.ndarray], name: str) -> tuple[str, ...]:
    """Return the names of the classes, numbers where the dataset has none."""
    found = [getattr(inner, 'metainfo', {}).get('classes') for inner in inner_datasets(dataset)]
    given = np.concatenate([*labels, np.zeros(0, np.int64)])
    low, high = (given.min(), given.max()) if len(given) else (0, -1)
    classes = next(filter(None, found), [f'class {i}' for i in range(high + 1)])
    if low < 0 or high >= len(classes):
        raise ValueError(
            f'{name}_dataloader.dataset has labels from {low} to {high}, but '
            f'{counted(len(classes), "class")}'
        )
    return tuple(map(str, classes))


def _loader_of(dataset: Dataset) -> LoadImageFromFile:
    """Return the first loader of the pipeline; the host's with its defaults if there is none."""
    for inner in inner_datasets(dataset):
        for transform in getattr(getattr(inner, 'pipeline', None), 'transforms', ()):
            if isinstance(transform, LoadImageFromFile):
                return transform
    return LoadImageFromFile()
