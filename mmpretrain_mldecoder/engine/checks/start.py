"""Checks at the start of a run, after everything is built and before anything is computed."""

import logging
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import BaseLoop, Runner
from mmpretrain.evaluation import Accuracy, ConfusionMatrix, MultiLabelMetric, SingleLabelMetric
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import ClsHead, MultiLabelClsHead
from mmpretrain.registry import HOOKS
from torch import nn
from torch.utils.data import Dataset

from ...checkpoints.classes import compare_classes
from ...datasets.dataset_wrappers import inner_datasets
from ...errors import ConfigError
from ...evaluation.metrics import MultiLabelMAP
from ...fileio.terminal import listed, printable
from ..distributed import unwrapped
from .dry_run import dry_run
from .idle_settings import idle_settings
from .labels import check_labels
from .pixels import pixel_differences
from .training import check_training


@HOOKS.register_module()
class ConfigCheckHook(Hook):
    """Raise :class:`ConfigError` at the start of a training or test, not after an epoch.

    Parts are compared with each other: classes of head, preprocessor and datasets; ``topk``; the
    kind of head and metric; ``save_best`` and the metric's scores; the length of schedule and
    training. Then a dry run sends two images of each loader through a classifier, which shows
    whether channels, sizes and the fields that a metric reads fit. It changes nothing.

    Differences that may be meant are warnings in the log. ``check_config = False`` in the config
    skips all of this. ``PortableRunner`` adds this hook.
    """

    priority = 'HIGHEST'

    def before_run(self, runner) -> None:
        if runner.cfg.get('check_config', True):
            check_start(runner)


def check_start(runner: Runner) -> None:
    """Check a runner that has built its model and the loops that it is about to run."""
    # A loop is built when its run begins; asking the runner for it would build it.
    loops = dict(train=runner._train_loop, val=runner._val_loop, test=runner._test_loop)
    loops = {name: loop for name, loop in loops.items() if isinstance(loop, BaseLoop)}
    for warning in idle_settings(runner.cfg, trains='train' in loops):
        runner.logger.warning(warning)
    model = unwrapped(runner.model)

    if 'train' in loops:
        for warning in check_training(runner, loops['train'], validates='val' in loops):
            runner.logger.warning(warning)
    for name in ('train', 'test'):
        if name in loops:
            dataset = loops[name].dataloader.dataset
            if line := _pixel_differences(runner, model, dataset):
                # Another size may be meant in a training.
                level = logging.INFO if name == 'train' else logging.WARNING
                runner.logger.log(level, line)
    datasets = {f'{key}_dataloader.dataset': loop.dataloader.dataset for key, loop in loops.items()}
    metrics = [
        (f'{key}_evaluator', metric)
        for key, loop in loops.items()
        if key != 'train'
        for metric in loop.evaluator.metrics
    ]
    check_classes(model, datasets, metrics)
    check_labels(model, datasets, runner.logger)
    if isinstance(model, ImageClassifier) and model.with_head:
        for name, loop in loops.items():
            dry_run(runner, model, name, loop)


def _pixel_differences(runner: Runner, model: BaseModel, dataset: Dataset) -> str:
    """Return what differs from the pixels of the weights that a run starts from, or ''."""
    init_cfg = getattr(getattr(model, 'backbone', None), 'init_cfg', None)
    checkpoint = init_cfg.get('checkpoint') if isinstance(init_cfg, Mapping) else None
    of_timm = checkpoint if str(checkpoint).startswith('timm://') else ''
    pipelines = [getattr(each, 'pipeline', None) for each in inner_datasets(dataset)]
    steps = chain.from_iterable(getattr(each, 'transforms', ()) for each in pipelines)
    return pixel_differences(runner._load_from or of_timm, model.data_preprocessor, steps)


def check_classes(
    model: BaseModel, datasets: Mapping[str, object], metrics: Sequence[tuple[str, BaseMetric]]
) -> None:
    """Raise unless head, preprocessor, datasets and metrics are for the same classes.

    Compared are their number, names and order, ``topk``, and whether head and metrics are for one
    label per image or several. Keys are those of the config.
    """
    head, preprocessor = getattr(model, 'head', None), getattr(model, 'data_preprocessor', None)
    number = getattr(head, 'num_classes', None)
    for key, metric in metrics:
        for_one_label = isinstance(metric, Accuracy | SingleLabelMetric | ConfusionMatrix)
        if for_one_label and isinstance(head, MultiLabelClsHead):
            raise ConfigError(
                f'{key}.type = {type(metric).__name__!r} is for one label per image, but '
                f'model.head.type = {type(head).__name__!r} predicts several: use MultiLabelMAP'
            )
    infos = {key: getattr(data, 'metainfo', None) or {} for key, data in datasets.items()}
    classes = {key: info['classes'] for key, info in infos.items() if info.get('classes')}
    for (first, names), (second, others) in pairwise(classes.items()):
        change = compare_classes(names, others)
        if change is None or change.is_same:
            continue
        if bool(change.new) == bool(change.dropped) or change.renamed:
            raise ConfigError(
                f'{change.first_difference(second, first)}: scores would be compared with the '
                'labels of other classes. Give both the same `classes` in the same order'
            )
        lacking, where, whole = change.dropped, second, first
        if change.new:
            lacking, where, whole = change.new, first, second
        raise ConfigError(
            f'{where} lacks {len(lacking)} of the {max(len(names), len(others))} classes of '
            f'{whole}: {printable(listed(lacking, 10))}. Set {where}.classes to those of {whole}, '
            'and add to the categories of its annotation file what is missing; or set `classes` of '
            'both to the same fewer ones'
        )
    if number is None:
        return
    for key, names in classes.items():
        if len(names) != number:
            raise ConfigError(
                f'model.head.num_classes = {number}, but {key} has {len(names)} classes '
                f'({listed([*map(str, names)], 3)}): set model.head.num_classes={len(names)}'
            )
    own = getattr(preprocessor, 'num_classes', None)
    if own not in (None, number) and getattr(preprocessor, 'to_onehot', False):
        raise ConfigError(
            f'data_preprocessor.num_classes = {own}, but model.head.num_classes = {number}: '
            'with one-hot targets (to_onehot, or augmentation of batches) they must be equal'
        )
    for key, part in (('model.head', head), *metrics):
        if _topk(part) > number:
            raise ConfigError(
                f'{key}.topk = {part.topk}, but model.head.num_classes = {number}: set topk to '
                f'{number} or less'
            )


def _topk(part: nn.Module | BaseMetric) -> int:
    """Return the number of labels per image that topk sets in a head or metric; 0 for none."""
    is_read = (
        (isinstance(part, MultiLabelClsHead | MultiLabelMetric) and part.thr is None)
        or (isinstance(part, ClsHead) and part.cal_acc)
        or (isinstance(part, MultiLabelMAP) and part.with_f1)
        or isinstance(part, Accuracy)
    )
    return int(np.max(part.topk)) if is_read and part.topk is not None else 0
