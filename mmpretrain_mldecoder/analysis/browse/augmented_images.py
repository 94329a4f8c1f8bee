"""Augmented images of a split, under the seeds of a training."""

import os
from collections.abc import Collection

import numpy as np
import torch
from mmengine.config import Config

from ...datasets.dataset_wrappers import inner_datasets
from ...datasets.seeded_sampler import (
    SampleIndex,
    SeededSamplesMixin,
    sample_random_state,
    sample_seed,
)
from ...visualization.augmentation_sheet import AugmentedImage
from .dataset_split import DatasetSplit


def augmented_images(
    split: DatasetSplit, images: int, draws: int, seed: int = 0, broken: Collection[str] = ()
) -> list[AugmentedImage]:
    """Draw images at random, and send each through the pipeline of the split several times.

    The choice follows from ``seed`` alone. Draw ``e`` is what training sees of the image in
    epoch ``e`` (from 1), if it is seeded with ``seed`` and the config has ``SeededSampler`` and a
    dataset with :class:`SeededSamplesMixin`. Another dataset is given the same seeds, so that
    calls repeat; training draws others.

    Args:
        split (DatasetSplit): Whose images.
        images (int): How many, at most.
        draws (int): Of each image.
        seed (int): That of the config's ``randomness``. Defaults to 0.
        broken (Collection[str]): Paths to skip.

    Raises:
        ValueError: If the pipeline fails on an image, or does not pack it.
    """
    order = np.random.default_rng(seed).permutation(len(split.paths)).tolist()
    chosen = [index for index in order if split.paths[index] not in broken][:images]
    return [_augmented(split, index, draws, seed) for index in sorted(chosen)]


def _augmented(split: DatasetSplit, index: int, draws: int, seed: int) -> AugmentedImage:
    path = split.paths[index]
    try:
        original = split.loader.transform(dict(img_path=path))['img']
        samples = [_sample(split, index, epoch, seed) for epoch in range(draws)]
    except Exception as error:  # a transform may raise anything
        raise ValueError(f'the {split.name} pipeline fails on {path}: {error}') from error
    tiles = [_as_bgr(original), *(_as_image(sample, split.name) for sample in samples)]
    titles = ['original']
    for epoch in range(1, draws + 1):
        titles.append(f'epoch {epoch}' if split.name == 'train' else 'as the network gets it')
    return AugmentedImage(
        title=os.path.basename(path),
        labels=split.labels_of(index),
        tiles=tiles,
        captions=[
            f'{title}, {tile.shape[1]} x {tile.shape[0]}'
            for title, tile in zip(titles, tiles, strict=True)
        ],
    )


def _sample(split: DatasetSplit, index: int, epoch: int, seed: int) -> dict:
    """Make a sample as the loader of a training makes it."""
    number = sample_seed(seed, epoch, index)
    if any(isinstance(inner, SeededSamplesMixin) for inner in inner_datasets(split.dataset)):
        return split.dataset[SampleIndex(index, number)]
    with sample_random_state(number):
        return split.dataset[index]


def _as_image(sample: dict, name: str) -> np.ndarray:
    """Turn the packed input back into an image; nothing else is undone."""
    inputs = sample.get('inputs') if isinstance(sample, dict) else None
    if not isinstance(inputs, torch.Tensor) or inputs.ndim != 3:
        raise ValueError(
            f'the {name} pipeline gives no `inputs` of shape (C, H, W): end it with PackInputs'
        )
    return _as_bgr(inputs.permute(1, 2, 0).numpy())


def _as_bgr(image: np.ndarray) -> np.ndarray:
    """Return ``(H, W, 3)`` uint8; other types are stretched from their minimum to their maximum."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = np.uint8(255 * (image - low) / max(high - low, 1e-6))
    if image.ndim == 2:
        image = image[..., None]
    return np.repeat(image, 3, axis=2) if image.shape[2] < 3 else image[..., :3]


def batch_augmentations(cfg: Config) -> list[str]:
    """Name the augmentations of a config that mix whole batches after the pipeline."""
    model = cfg.get('model') or {}
    places = (
        (cfg.get('data_preprocessor') or {}).get('batch_augments'),
        (model.get('data_preprocessor') or {}).get('batch_augments'),
        model.get('train_cfg'),
    )
    augments = next(filter(None, ((place or {}).get('augments') for place in places)), [])
    augments = [augments] if isinstance(augments, (str, dict)) else augments
    return [each if isinstance(each, str) else each['type'] for each in augments]
