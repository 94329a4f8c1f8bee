"""Images of a split as the network gets them, under the seeds of a training."""

import os
from collections.abc import Collection

import numpy as np
import torch
from mmengine.config import Config

from ...datasets.seeded_sampler import (
    SampleIndex,
    SeededSamplesMixin,
    sample_random_state,
    sample_seed,
)
from ...datasets.skip_unreadable import inner_datasets
from ...visualization.augmentation_sheet import AugmentedImage
from .dataset_split import DatasetSplit


def augmented_images(
    split: DatasetSplit,
    images: int,
    draws: int,
    seed: int = 0,
    broken: Collection[str] = (),
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
        broken (Collection[str]): Paths to pass over.

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
    height, width = original.shape[:2]
    seen = [_as_image(sample, split.name) for sample in samples]
    size = f'{seen[0].shape[1]} x {seen[0].shape[0]}'
    if split.name == 'train':
        captions = [f'epoch {epoch + 1}, {size}' for epoch in range(draws)]
    else:
        captions = [f'as the network gets it, {size}'] * draws
    return AugmentedImage(
        title=os.path.basename(path),
        labels=[split.classes[label] for label in split.labels[index]],
        tiles=[_as_bgr(original), *seen],
        captions=[f'original, {width} x {height}', *captions],
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
    """Return ``(H, W, 3)`` uint8; other numbers are stretched from their least to their most."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = np.uint8(255 * (image - low) / max(high - low, 1e-6))
    if image.ndim == 2:
        image = image[..., None]
    return np.repeat(image, 3, axis=2) if image.shape[2] < 3 else image[..., :3]


def batch_augmentations(cfg: Config) -> list[str]:
    """Name the augmentations that mix whole batches on the device, after the pipeline.

    Args:
        cfg (Config): Whose ``data_preprocessor`` or ``model.train_cfg`` may have some.
    """
    model = cfg.get('model') or {}
    places = (
        (cfg.get('data_preprocessor') or {}).get('batch_augments'),
        (model.get('data_preprocessor') or {}).get('batch_augments'),
        model.get('train_cfg'),
    )
    found = [place.get('augments') for place in places if place]
    augments = next((found_here for found_here in found if found_here), [])
    augments = [augments] if isinstance(augments, (str, dict)) else augments
    return [each if isinstance(each, str) else each['type'] for each in augments]
