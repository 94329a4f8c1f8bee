"""Checks at the start of a run, after everything is built and before anything is computed."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain, pairwise

import numpy as np
import torch
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

from ...checkpoints import timm_models
from ...checkpoints.classes import compare_classes
from ...datasets.dataset_wrappers import inner_datasets
from ...datasets.transforms import SquareResize
from ...errors import ConfigError
from ...evaluation.metrics import MultiLabelMAP
from ...fileio.terminal import listed, printable
from ..distributed import unwrapped
from .dry_run import dry_run
from .idle_settings import idle_settings
from .labels import check_labels
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
        if line := pixel_differences(model, loops['train'].dataloader.dataset, runner._load_from):
            runner.logger.info(line)
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


def pixel_differences(model: BaseModel, dataset: Dataset, load_from: str | None = None) -> str:
    """Return what differs from the pixels that weights of ``timm://`` were trained with, or ''.

    With timm's ``pretrained_cfg`` are compared mean, standard deviation and order of the channels,
    size and interpolation of the dataset's pipeline; nothing where timm is not installed.
    """
    init_cfg = getattr(getattr(model, 'backbone', None), 'init_cfg', None)
    checkpoint = init_cfg.get('checkpoint') if isinstance(init_cfg, Mapping) else None
    source, theirs = str(load_from or checkpoint).partition('#')[0], None
    with suppress(ImportError):
        if source.startswith('timm://'):
            cfg = timm_models.pretrained_cfg(source.removeprefix('timm://'))
            theirs = cfg and cfg.to_dict()
    if theirs is None:
        return ''
    preprocessor = model.data_preprocessor
    pairs = {'channels': ('RGB' if getattr(preprocessor, 'to_rgb', False) else 'BGR', 'RGB')}
    # of 0 to 255, as it has where nothing is normalised
    for key, default in dict(mean=0.0, std=1.0).items():
        value = torch.as_tensor(getattr(preprocessor, key, default))
        ours = (value.flatten().expand(3) / 255).tolist()
        pairs[key] = tuple(
            ', '.join(f'{number:.3f}' for number in numbers) for numbers in (ours, theirs[key])
        )
    pipelines = [getattr(each, 'pipeline', None) for each in inner_datasets(dataset)]
    for step in chain.from_iterable(getattr(each, 'transforms', ()) for each in pipelines):
        size = getattr(step, 'scale', getattr(step, 'crop_size', None))
        sides = [size, size] if isinstance(size, int) else size
        if not (isinstance(sides, Sequence) and all(isinstance(side, int) for side in sides)):
            continue  # a factor
        pairs['size'] = tuple(
            ' x '.join(map(str, each)) for each in (sides, theirs['input_size'][1:])
        )
        if isinstance(step, SquareResize) or hasattr(step, 'interpolation'):
            ours = getattr(step, 'interpolation', 'bilinear')
            pairs['interpolation'] = (ours, theirs['interpolation'])
    parts = [f'{key} {ours} (timm: {own})' for key, (ours, own) in pairs.items() if ours != own]
    return f'{source} was trained with other pixels: {"; ".join(parts)}' if parts else ''


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
