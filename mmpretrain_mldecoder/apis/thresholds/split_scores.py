"""The scores that a checkpoint gives to a split, and the labels of its images."""

import json
from dataclasses import dataclass

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.models.heads import MultiLabelClsHead

from ...engine.runners import launch
from ...evaluation import MultiLabelMAP
from ...evaluation.metrics.gather import gather_batches
from ...fileio.terminal import printable

SPLITS = ('train', 'val', 'test')

# What picks the images of a dataset: splits that agree in these are the same.
_IMAGE_KEYS = ('ann_file', 'data_root', 'data_prefix', 'split', 'keep_unlabelled', 'dataset')


@dataclass(frozen=True)
class SplitScores:
    """One row an image.

    Attributes:
        scores: ``(N, C)`` float32, probabilities.
        targets: ``(N, C)`` int8: 1 positive, 0 negative, -1 unknown.
        classes: ``C`` names.
    """

    scores: np.ndarray
    targets: np.ndarray
    classes: list[str]


class _KeptScores(MultiLabelMAP):
    """Keep the arrays that the metric is computed from, on the main process."""

    kept: tuple[np.ndarray, np.ndarray] | None = None

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        arrays = gather_batches(results, ('scores', 'targets'))
        if arrays is not None:
            self.kept = arrays['scores'], arrays['targets']
        return super().compute_metrics(results)


class _SameClassesHook(Hook):
    """Compare the names of the classes: a label index means nothing without them."""

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        meta = checkpoint.get('meta') or {}
        known = (meta.get('dataset_meta') or {}).get('classes')
        here = runner.test_dataloader.dataset.metainfo.get('classes')
        if not isinstance(known, list | tuple) or not known or here is None:
            return  # nothing to compare
        if list(known) != list(here):
            raise ValueError(
                f'the checkpoint is of {len(known)} classes ({printable(str(known[0]))}, ...), the '
                f'split has {len(here)} with other names ({printable(str(here[0]))}, ...)'
            )


def use_split(cfg: Config, split: str) -> None:
    """Make the test of a config that of another split, in its own preprocessing.

    The training split is read in the order of its annotations and through the test pipeline,
    without augmentation. Moving averages are left out of the hooks: a checkpoint's ``state_dict``,
    which thresholds belong to, is the average already.

    Args:
        cfg (Config): As ``engine.runners.launch.load_config`` gives it; changed in place.
        split (str): One of ``SPLITS``.

    Raises:
        ValueError: If the config has no such split, or no pipeline of its own can be replaced.
    """
    name = f'{split}_dataloader'
    for needed in (name, 'test_dataloader'):
        if cfg.get(needed) is None:
            raise ValueError(f'the config has no {needed}: it knows no split {split!r}')
    if split == 'train':
        dataset, test_dataset = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
        if 'pipeline' not in dataset or 'pipeline' not in test_dataset:
            raise ValueError(
                f'the training dataset {dataset.get("type")} has no pipeline of its own to put the '
                'test pipeline in its place: name another split'
            )
        dataset.pipeline = test_dataset.pipeline
        cfg.test_dataloader.dataset = dataset
    else:
        cfg.test_dataloader = cfg[name]
    cfg.test_evaluator = dict(type='MultiLabelMAP')
    cfg.custom_hooks = [
        hook for hook in cfg.get('custom_hooks') or [] if not launch.is_ema_hook(hook['type'])
    ]


def split_warnings(cfg: Config, split: str) -> list[str]:
    """Say what thresholds of a split are not worth, as far as the config tells.

    Args:
        cfg (Config): Before :func:`use_split`.
        split (str): One of ``SPLITS``.
    """
    if _is_same_split(cfg, split, 'train'):
        return [
            'The model was trained on this split: its scores are surer there than on any other '
            'image, so the thresholds, and the held-out F1 too, are too good to be true. '
            'Name a split that it has not seen.'
        ]
    if _is_same_split(cfg, split, 'val'):
        return [
            'If the epoch was chosen by its score on this split, as that of best_*.pth is, all '
            'numbers here flatter a little, at 0.5 and tuned alike.'
        ]
    return []


def _is_same_split(cfg: Config, split: str, other: str) -> bool:
    sources = [image_source(cfg, name) for name in (split, other)]
    return None not in sources and sources[0] == sources[1]


def image_source(cfg: Config, split: str) -> str | None:
    """Return where the images of a split come from, as text that is equal if they are the same.

    Args:
        cfg (Config): Before :func:`use_split`.
        split (str): One of ``SPLITS``.

    Returns:
        str | None: None if the config has no such split.
    """
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        return None
    dataset = loader.dataset.to_dict()
    found = {key: dataset[key] for key in _IMAGE_KEYS if dataset.get(key) is not None}
    return json.dumps(found, sort_keys=True, default=str)


def split_scores(runner: Runner) -> SplitScores | None:
    """Run the test of a config that :func:`use_split` has changed.

    Returns:
        SplitScores | None: None on all processes but the first.

    Raises:
        ValueError: If the head is none for many labels, or the checkpoint has other classes than
            the split.
    """
    head = getattr(runner.model, 'module', runner.model).head
    if not isinstance(head, MultiLabelClsHead):
        raise ValueError(
            f'{type(head).__name__} is no head for many labels: thresholds mean nothing there'
        )
    evaluator = runner.test_evaluator
    metric = _KeptScores()
    evaluator.metrics = [metric]
    metric.dataset_meta = runner.test_dataloader.dataset.metainfo
    runner.register_hook(_SameClassesHook())
    runner.test()
    if metric.kept is None:
        return None
    scores, targets = metric.kept
    classes = metric.dataset_meta.get('classes') or range(scores.shape[1])
    return SplitScores(scores, targets, [str(name) for name in classes])
