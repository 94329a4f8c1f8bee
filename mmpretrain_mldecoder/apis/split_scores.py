"""Scores of a checkpoint on a split, and tests at its stored thresholds."""

import json
from dataclasses import dataclass

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.models.heads import MultiLabelClsHead

from ..checkpoints import classes_of
from ..checkpoints.classes import compare_classes
from ..engine.runners import launch
from ..evaluation import MultiLabelMAP
from ..evaluation.metrics.gather import gather_batches
from .thresholds import read_trained, stored_thresholds

# What selects the images of a dataset: splits that agree in these are the same.
_IMAGE_KEYS = ('ann_file', 'data_root', 'data_prefix', 'split', 'keep_unlabelled', 'dataset')


@dataclass(frozen=True)
class SplitScores:
    """Scores and labels of ``N`` images."""

    scores: np.ndarray  # (N, C) float32, probabilities
    targets: np.ndarray  # (N, C) int8: 1 positive, 0 negative, -1 unknown
    classes: list[str]  # C names
    source: str  # the images, see image_source
    warnings: list[str]  # why thresholds of the split are too good, see split_warnings


class _KeptScores(MultiLabelMAP):
    """Keeps the arrays that the metric is computed from, on the main process."""

    kept: tuple[np.ndarray, np.ndarray] | None = None

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        arrays = gather_batches(results, ('scores', 'targets'))
        if arrays is not None:
            self.kept = arrays['scores'], arrays['targets']
        return super().compute_metrics(results)


class _SameClassesHook(Hook):
    """Compares the class names: a label index means nothing without them."""

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        here = runner.test_dataloader.dataset.metainfo.get('classes')
        change = compare_classes(classes_of(checkpoint), here)
        if change is not None and not change.is_same:
            difference = change.first_difference('the split', 'the checkpoint')
            raise ValueError(
                f'{difference}: thresholds are of the classes of the checkpoint ({change}). Set '
                '`classes` of the dataset to those'
            )


def split_scores(cfg: Config, split: str) -> SplitScores | None:
    """Predict a split as a test would predict it; return None on all ranks but the main process.

    Args:
        cfg (Config): As ``engine.runners.launch`` prepares it for a test; changed in place, see
            :func:`use_split`.
        split (str): ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ValueError: If the config has no such split, the head is not for many labels, or the
            checkpoint has other classes than the split.
    """
    source, warnings = image_source(cfg, split), split_warnings(cfg, split)
    use_split(cfg, split)
    runner = launch.build_runner(cfg)
    head = getattr(runner.model, 'module', runner.model).head
    if not isinstance(head, MultiLabelClsHead):
        kind = f'a {type(head).__name__} predicts one class per image'
        raise ValueError(f'{kind}: thresholds need a multi-label head')
    metric = _KeptScores()
    runner.test_evaluator.metrics = [metric]
    metric.dataset_meta = runner.test_dataloader.dataset.metainfo
    runner.register_hook(_SameClassesHook())
    runner.test()
    launch.end_run(runner)
    if metric.kept is None:
        return None
    scores, targets = metric.kept
    classes = metric.dataset_meta.get('classes') or range(scores.shape[1])
    return SplitScores(scores, targets, [str(name) for name in classes], source, warnings)


def use_split(cfg: Config, split: str) -> None:
    """Let the test of a config run on another split, in the order of its annotations.

    The training split goes through the test pipeline, without augmentation. Moving averages are
    left out of the hooks: a checkpoint's ``state_dict``, which thresholds belong to, is the average
    already. Raises ``ValueError`` if the config has no such split, or no pipeline of its own can be
    replaced.
    """
    for needed in (f'{split}_dataloader', 'test_dataloader'):
        if cfg.get(needed) is None:
            raise ValueError(f'the config has no {needed}, so there is no split {split!r}')
    if split == 'train':
        dataset, test_dataset = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
        if 'pipeline' not in dataset or 'pipeline' not in test_dataset:
            what = f'the training dataset {dataset.get("type")} has no pipeline of its own'
            raise ValueError(f'{what} to put the test pipeline in its place: name another split')
        dataset.pipeline = test_dataset.pipeline
        cfg.test_dataloader.dataset = dataset
    else:
        cfg.test_dataloader = cfg[f'{split}_dataloader']
    cfg.test_evaluator = dict(type='MultiLabelMAP')
    cfg.custom_hooks = [
        hook for hook in cfg.get('custom_hooks') or [] if not launch.is_ema_hook(hook['type'])
    ]


def split_warnings(cfg: Config, split: str) -> list[str]:
    """Return why thresholds of a split are too good, as far as the config tells."""
    source = image_source(cfg, split)
    if source == image_source(cfg, 'train'):
        return [
            'The model was trained on this split: its scores are more certain there than on any '
            'other image, so the thresholds, and the held-out F1 too, are too good to be true. '
            'Name a split that it has not seen.'
        ]
    if source == image_source(cfg, 'val'):
        return [
            'If the epoch was chosen by its score on this split, as that of best_*.pth is, all '
            'numbers here are slightly too good, at 0.5 and tuned alike.'
        ]
    return []


def image_source(cfg: Config, split: str) -> str | None:
    """Return text that is equal if the images of two splits are; None if there is no such split."""
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        return None
    dataset = loader.dataset.to_dict()
    found = {key: dataset[key] for key in _IMAGE_KEYS if dataset.get(key) is not None}
    return json.dumps(found, sort_keys=True, default=str)


def map_evaluators(cfg: Config) -> list[dict]:
    """Return the parts of ``test_evaluator`` that are a ``MultiLabelMAP``."""
    evaluators = cfg.get('test_evaluator') or ()
    evaluators = evaluators if isinstance(evaluators, list | tuple) else [evaluators]
    return [e for e in evaluators if str(e['type']).rpartition('.')[2] == 'MultiLabelMAP']


def use_stored_thresholds(cfg: Config, checkpoint: str) -> None:
    """Let the metric of a test report its F1s at the thresholds of a checkpoint, a local file.

    ``MultiLabelMAP`` is (one of) the ``test_evaluator`` of the config, which is changed in place.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the checkpoint has no valid thresholds, if they were fitted to the images of
            this very test, or there is no ``MultiLabelMAP``.
    """
    meta = read_trained(checkpoint)['meta']
    stored = meta.get('thresholds')
    # Whether these are the classes of the test, the metric checks: it knows its dataset.
    classes = (stored.get('classes') if isinstance(stored, dict) else None) or []
    values = stored_thresholds(meta, classes)
    if stored.get('source') == image_source(cfg, 'test'):
        raise ValueError(
            'the thresholds of the checkpoint were fitted to the images of this test, where they '
            'gain by construction. Test another split '
            '(--cfg-options test_dataloader.dataset.ann_file=...); held-out numbers of this one '
            'are what tune_thresholds.py prints'
        )
    metrics = map_evaluators(cfg)
    if not metrics:
        raise ValueError('the test_evaluator has no MultiLabelMAP to report F1 at thresholds')
    for metric in metrics:
        metric.thr = [*zip(classes, values.tolist(), strict=True)]
        metric.with_f1 = True
