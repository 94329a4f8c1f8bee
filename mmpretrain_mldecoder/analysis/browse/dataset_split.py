"""One split of a config's data, as it is looked at before training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config, ConfigDict
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from ...datasets.skip_unreadable import inner_datasets


@dataclass(frozen=True, eq=False)
class LabelLists:
    """Labels of N images, as two arrays.

    Attributes:
        labels (np.ndarray): int64, those of the first image, of the second, and so on; each
            label once an image.
        bounds (np.ndarray): ``(N + 1,)`` int64: those of image ``i`` are
            ``labels[bounds[i]:bounds[i + 1]]``.
    """

    labels: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, lists: Iterable[Sequence[int]]) -> 'LabelLists':
        """Store lists of labels."""
        unique = [np.unique(np.asarray(labels, np.int64)) for labels in lists]
        bounds = np.cumsum([0, *map(len, unique)])
        return cls(np.concatenate([np.zeros(0, np.int64), *unique]), bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.labels[self.bounds[index] : self.bounds[index + 1]]

    @property
    def per_image(self) -> np.ndarray:
        """Number of labels of each image, ``(N,)``."""
        return np.diff(self.bounds)

    def counts(self, num_classes: int) -> np.ndarray:
        """Number of images that have each label, ``(C,)``."""
        return np.bincount(self.labels, minlength=num_classes)

    def together(self, classes: Sequence[int]) -> np.ndarray:
        """Count the images that have both of two labels.

        Args:
            classes (Sequence[int]): K labels, each once.

        Returns:
            np.ndarray: ``(K, K)`` int64; on the diagonal the images that have the label.
        """
        position = np.full(max(classes, default=0) + 1, -1)
        position[list(classes)] = np.arange(len(classes))
        known = self.labels < len(position)
        columns = position[self.labels[known]]
        rows = np.repeat(np.arange(len(self)), self.per_image)[known]
        # float32 counts exactly up to 2**24 images, and is multiplied by a fast library
        present = np.zeros((len(self), len(classes)), np.float32)
        present[rows[columns >= 0], columns[columns >= 0]] = 1
        return (present.T @ present).astype(np.int64)


SPLITS = ('train', 'val', 'test')


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
        loader: What the pipeline reads its images with.
    """

    name: str
    dataset: Dataset
    paths: list[str]
    sizes: list[tuple[int, int] | None]
    labels: LabelLists
    classes: tuple[str, ...]
    loader: LoadImageFromFile


def default_splits(cfg: Config) -> list[str]:
    """Return which of train, val and test a config has; test only if its data is not val's."""
    names = [name for name in SPLITS if cfg.get(f'{name}_dataloader') is not None]
    if {'val', 'test'} <= set(names) and _data_of(cfg, 'val') == _data_of(cfg, 'test'):
        names.remove('test')
    return names


def _data_of(cfg: Config, name: str) -> dict:
    dataset = cfg[f'{name}_dataloader'].dataset
    return {key: value for key, value in dataset.items() if key not in ('pipeline', 'test_mode')}


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
    if cfg.get(f'{name}_dataloader') is None:
        reason = f', because {cfg.evaluate_only}' if 'evaluate_only' in cfg else ''
        raise ValueError(f'the config has no {name}_dataloader{reason}')
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = _build(cfg[f'{name}_dataloader'].dataset, name)
    indices = range(len(dataset))
    infos = [_ImageInfo.of(dataset.get_data_info(index), name) for index in indices]
    labels = LabelLists.of(info.labels for info in infos)
    classes = _class_names(dataset, labels, name)
    return DatasetSplit(
        name=name,
        dataset=dataset,
        paths=[info.path for info in infos],
        sizes=[info.size for info in infos],
        labels=labels,
        classes=classes,
        loader=_loader_of(dataset),
    )


def _build(dataset_cfg: ConfigDict, name: str) -> Dataset:
    """Build a dataset and load its annotations without looking for its files."""
    try:
        dataset = DATASETS.build(_lazily(dataset_cfg))
        while isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
            dataset = dataset.dataset
        for inner in inner_datasets(dataset):
            # of COCOMultiLabel and SeededImageNet: they stop at missing files, which count here
            for check in ('_check_images', '_check_files'):
                if hasattr(inner, check):
                    setattr(inner, check, lambda paths: None)
        dataset.full_init()
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f'{name}_dataloader.dataset cannot be read: {error}') from error
    return dataset


def _lazily(dataset_cfg: ConfigDict) -> ConfigDict:
    """Return the config with ``lazy_init`` set, in the datasets that it wraps, too."""
    lazy = ConfigDict(dataset_cfg)
    lazy.lazy_init = True
    if 'dataset' in lazy:
        lazy.dataset = _lazily(lazy.dataset)
    if 'datasets' in lazy:
        lazy.datasets = [_lazily(inner) for inner in lazy.datasets]
    return lazy


@dataclass(frozen=True)
class _ImageInfo:
    path: str
    size: tuple[int, int] | None
    labels: np.ndarray

    @classmethod
    def of(cls, info: dict, name: str) -> '_ImageInfo':
        if 'img_path' not in info:
            raise ValueError(
                f'{name}_dataloader.dataset has no img_path in its samples: only datasets whose '
                'images are files can be looked at'
            )
        size = (info['height'], info['width']) if {'height', 'width'} <= info.keys() else None
        if 'gt_score' in info:
            labels = np.flatnonzero(np.asarray(info['gt_score']) > 0)
        else:
            labels = np.atleast_1d(np.asarray(info.get('gt_label', ()), np.int64))
        return cls(info['img_path'], size, labels)


def _class_names(dataset: Dataset, labels: LabelLists, name: str) -> tuple[str, ...]:
    """Return the names of the classes, numbers where the dataset has none."""
    found = [getattr(inner, 'metainfo', {}).get('classes') for inner in inner_datasets(dataset)]
    classes = next((classes for classes in found if classes), None)
    low, high = (labels.labels.min(), labels.labels.max()) if len(labels.labels) else (0, -1)
    if classes is None:
        classes = [f'class {i}' for i in range(high + 1)]
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
