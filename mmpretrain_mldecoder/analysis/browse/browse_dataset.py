"""Browse the data of a config before training: images, plots of the labels, findings."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ...visualization.augmentation_sheet import augmentation_sheet
from ...visualization.label_plots import (
    classes_to_plot,
    plot_cooccurrence,
    plot_label_counts,
    plot_labels_per_image,
)
from .augmented_images import augmented_images, batch_augmentations
from .dataset_findings import image_findings, label_findings
from .dataset_split import DatasetSplit, default_splits, read_split
from .findings import Finding, codes_to_look_for, write_findings


@dataclass(frozen=True)
class BrowsedDataset:
    """What :func:`browse_dataset` found and wrote.

    Attributes:
        splits: Which were checked.
        findings: Of all of them.
        looked_for: Codes of what could have been found.
        files: Images, plots and ``findings.json``.
    """

    splits: list[DatasetSplit]
    findings: list[Finding]
    looked_for: list[str]
    files: list[Path]

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
    ``cooccurrence.png`` (of the first split) and ``findings.json``. The pipeline's random draws
    are those of a training seeded as the config says (0 if it does not).

    Args:
        cfg (Config): As ``engine.runners.launch.load_config`` gives it.
        out_dir (str | PathLike): Folder to write to; older files of these names are replaced.
        splits (Sequence[str], optional): Of train, val and test. Defaults to those that the
            config has, see :func:`default_splits`.
        images (int): On each sheet; 0 draws none. Defaults to 8.
        draws (int): Augmented versions of each training image, at least 1. Defaults to 4.
        read_files (bool): Whether to read every image. Defaults to True.
        quick (bool): Whether to read headers only, see :class:`ImageChecker`. Defaults to
            False.
        workers (int, optional): Processes. Defaults to the cores that this process may use.

    Raises:
        ValueError: If a number is out of its range, or a split cannot be read.
        FileNotFoundError: If annotations are not there.
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
    if images:
        codes = ('missing', 'unreadable', 'truncated', 'too_large', 'blank')
        broken = {entry['path'] for f in findings if f.code in codes for entry in f.entries}
        for split in read:
            files += _draw_images(cfg, split, out_dir, images, draws, broken)
    return BrowsedDataset(read, findings, codes_to_look_for(read_files, quick), files)


def _draw_labels(splits: Sequence[DatasetSplit], out_dir: Path) -> list[Path]:
    first, classes = splits[0], splits[0].classes
    counts = {split.name: split.labels.counts(len(classes)) for split in splits}
    per_image = {split.name: split.labels.per_image for split in splits}
    files = [
        plot_label_counts(classes, counts, out_dir / 'label_counts.png'),
        plot_labels_per_image(per_image, out_dir / 'labels_per_image.png'),
    ]
    shown = classes_to_plot(counts[first.name])
    if len(shown) > 1 and max(per_image[first.name]) > 1:
        names = [classes[i] for i in shown]
        together = first.labels.together(shown)
        out = out_dir / 'cooccurrence.png'
        files.append(plot_cooccurrence(names, together, first.name, len(classes), out))
    return files


def _draw_images(
    cfg: Config, split: DatasetSplit, out_dir: Path, images: int, draws: int, broken: set[str]
) -> list[Path]:
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    is_train = split.name == 'train'
    rows = augmented_images(split, images, draws if is_train else 1, seed, broken)
    if not rows:
        return []
    caption = (
        f'{split.name}: images as their files hold them, and as the pipeline gives them to the '
        'network, before normalisation.'
    )
    mixing = batch_augmentations(cfg) if is_train else []
    if mixing:
        caption += f' {" and ".join(mixing)}, which mixes whole batches later, is not shown.'
    return [augmentation_sheet(rows, caption, out_dir / f'sheet_{split.name}.png')]
