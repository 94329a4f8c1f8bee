"""Browse the data of a config before training: images, plots of the labels, findings."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from ...datasets.seeded_sampler import SampleIndex, SeededDataset, sample_seed
from ...visualization import label_plots
from ...visualization.augmentation_sheet import AugmentedImage, augmentation_sheet
from .dataset_findings import image_findings, label_findings
from .dataset_split import DatasetSplit, default_splits, read_split
from .findings import UNREADABLE, Finding, codes_to_look_for, write_findings


@dataclass(frozen=True)
class BrowsedDataset:
    """What :func:`browse_dataset` found and wrote."""

    splits: list[DatasetSplit]
    findings: list[Finding]  # of all splits
    looked_for: list[str]  # codes of what could have been found
    files: list[Path]  # findings.json, plots and sheets

    @property
    def is_harmful(self) -> bool:
        """Whether something was found that spoils a training or its scores."""
        return any(finding.is_harmful for finding in self.findings)


def browse_dataset(
    cfg: Config,
    out_dir: str | os.PathLike,
    splits: Sequence[str] | None = None,
    images: int = 8,
    draws: int = 4,
    read_files: bool = True,
    quick: bool = False,
    workers: int | None = None,
) -> BrowsedDataset:
    """Check labels and images, and draw what there is to see.

    Writes ``sheet_<split>.png``, ``label_counts.png``, ``labels_per_image.png``,
    ``cooccurrence.png`` (of the first split) and ``findings.json``; older files are replaced. The
    pipeline's random draws are those of a training with the config's seed (0 if it has none).

    ``splits`` are by default the config's (:func:`default_splits`), ``images`` are those of each
    sheet, ``draws`` the augmented versions of each training image, and ``quick`` and ``workers``
    as in :func:`image_findings`. Raises ``ValueError`` if a number is out of its range, or a split
    cannot be read, ``FileNotFoundError`` without annotations.
    """
    numbers = (('images', images, 0), ('draws', draws, 1), ('workers', workers, 1))
    for name, number, low in numbers:
        if number is not None and number < low:
            raise ValueError(f'{name} must be at least {low}, but got {number}')
    names = list(dict.fromkeys(default_splits(cfg) if splits is None else splits))
    if not names:
        raise ValueError('the config has no train_dataloader, val_dataloader or test_dataloader')
    read = [read_split(cfg, name) for name in names]
    findings = label_findings(read)
    if read_files:
        findings += image_findings(read, quick, workers)
    out_dir = Path(out_dir)
    files = [write_findings(findings, read, out_dir / 'findings.json')]
    files += _draw_labels(read, out_dir)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    broken = {entry['path'] for f in findings if f.code in UNREADABLE for entry in f.entries}
    for split in read if images else ():
        versions = draws if split.name == 'train' else 1
        if rows := augmented_images(split, images, versions, seed, broken):
            caption = (
                f'{split.name}: images as their files hold them, and as the pipeline gives them to '
                'the network, before normalisation and mixing of batches (Mixup, CutMix).'
            )
            files.append(augmentation_sheet(rows, caption, out_dir / f'sheet_{split.name}.png'))
    return BrowsedDataset(read, findings, codes_to_look_for(read_files, quick), files)


def _draw_labels(splits: Sequence[DatasetSplit], out_dir: Path) -> list[Path]:
    first, classes = splits[0], splits[0].classes
    counts = {split.name: split.images_per_label() for split in splits}
    per_image = {split.name: split.labels_per_image() for split in splits}
    files = [
        label_plots.plot_label_counts(classes, counts, out_dir / 'label_counts.png'),
        label_plots.plot_labels_per_image(per_image, out_dir / 'labels_per_image.png'),
    ]
    shown = label_plots.classes_to_plot(counts[first.name])
    if len(shown) > 1 and max(per_image[first.name]) > 1:
        names = [classes[i] for i in shown]
        together = first.images_with_both(shown)
        out = out_dir / 'cooccurrence.png'
        files.append(label_plots.plot_cooccurrence(names, together, first.name, len(classes), out))
    return files


def augmented_images(
    split: DatasetSplit, images: int, draws: int, seed: int = 0, broken: Collection[str] = ()
) -> list[AugmentedImage]:
    """Choose some ``images`` at random, and send each through the pipeline of the split.

    Of the ``draws`` of an image, ``e`` (from 1) is what a training with this ``seed`` and
    ``SeededSampler`` sees of it in epoch ``e``. ``broken`` paths are skipped. Raises ``ValueError``
    if the pipeline fails on an image, or does not pack it.
    """
    order = np.random.default_rng(seed).permutation(len(split.paths)).tolist()
    chosen = [index for index in order if split.paths[index] not in broken][:images]
    return [_augmented(split, index, draws, seed) for index in sorted(chosen)]


def _augmented(split: DatasetSplit, index: int, draws: int, seed: int) -> AugmentedImage:
    path = split.paths[index]
    try:
        original = split.loader.transform(dict(img_path=path))['img']
        dataset = SeededDataset(split.dataset)
        seeds = (sample_seed(seed, epoch, index) for epoch in range(draws))
        samples = [dataset[SampleIndex(index, number)] for number in seeds]
    except Exception as error:  # a transform may raise anything
        raise ValueError(f'the {split.name} pipeline fails on {path}: {error}') from error
    tiles = {'original': _as_bgr(original)}
    for epoch, sample in enumerate(samples, 1):
        title = f'epoch {epoch}' if split.name == 'train' else 'as the network gets it'
        tiles[title] = _as_image(sample, split.name)
    tiles = {f'{title}, {t.shape[1]} x {t.shape[0]}': t for title, t in tiles.items()}
    return AugmentedImage(os.path.basename(path), split.labels_of(index), tiles)


def _as_image(sample: dict, name: str) -> np.ndarray:
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
