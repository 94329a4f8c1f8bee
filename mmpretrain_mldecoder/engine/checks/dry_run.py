"""Dry run: two images through pipeline, model and metrics before the first epoch."""

import copy
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.logging import MMLogger
from mmengine.runner import BaseLoop, Runner
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import ClsHead, LinearClsHead, MultiLabelLinearClsHead
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ...datasets.seeded_sampler import sample_random_state
from ...errors import ConfigError, RunError
from ...evaluation.metrics import MultiLabelMAP
from ...fileio.near_names import near_names
from ...fileio.terminal import one_line, quiet
from .config_error import several_sizes

# What a field or type raises that a metric cannot read; with other errors images may be too few.
_OF_FIELDS = (KeyError, AttributeError, TypeError)
# How networks of timm refuse images of another size than theirs.
_OF_SIZES = re.compile(r'[Ii]nput (height|width|image|size)|size of tensor a')
_HEADERS = 64  # that are read for an image of another size


def dry_run(runner: Runner, model: ImageClassifier, name: str, loop: BaseLoop) -> None:
    """Send two images of a loop's dataset, of two sizes if any, through all that reads them.

    The random state of the training, and the state of model and metrics, stay as they are.
    """
    key, loader = f'{name}_dataloader', loop.dataloader
    samples = _first_samples(key, loader)
    if not samples:
        return
    sizes = list(dict.fromkeys(tuple(sample['inputs'].shape) for sample in samples))
    if name == 'train' and len(sizes) > 1 and loader.batch_size != 1:
        collate = getattr(loader.collate_fn, 'func', loader.collate_fn)
        if collate is default_collate:
            raise ConfigError(several_sizes(key, *sizes))
        if collate is pseudo_collate:
            what = 'are padded to the largest of a batch'
            runner.logger.warning(several_sizes(key, *sizes, what=what))
    batches = [loader.collate_fn([sample]) for sample in samples]
    log = quiet(MMLogger.get_current_instance(), level=logging.CRITICAL)
    with in_mode(model, training=False), log, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        inputs = _check_model(key, model, batches[0], with_loss=name == 'train')
        if name == 'train':
            _check_batch_norms(model, loader, inputs)
            return
        scores = _try_metrics(f'{name}_evaluator', model, batches, loop.evaluator.metrics)
    if name == 'val' and scores is not None:
        for hook in runner.hooks:
            _check_monitored(hook, scores)


def _first_samples(key: str, loader: DataLoader) -> list[dict]:
    """Return two images; none for other forms, such as samples of several views."""
    dataset = loader.dataset
    if not hasattr(dataset, '__getitem__') or not hasattr(dataset, '__len__') or not len(dataset):
        return []
    samples = []
    for index in sorted({0, _index_of_other_size(dataset)}):
        what = 'the first image' if index == 0 else f'image {index}'
        with sample_random_state(0), _explained(f'{key}.dataset.pipeline fails on {what}'):
            samples.append(dataset[index])
    if not all(isinstance(sample, dict) for sample in samples):  # no pipeline of MMEngine
        return []
    for sample in samples:
        if 'inputs' not in sample or 'data_samples' not in sample:
            raise ConfigError(
                f'{key}.dataset.pipeline ends with {", ".join(sorted(sample))}, but a classifier '
                "reads inputs and data_samples: end it with dict(type='PackMultiLabelInputs') or "
                'PackInputs'
            )
    return samples if all(isinstance(sample['inputs'], Tensor) for sample in samples) else []


def _index_of_other_size(dataset: Sequence) -> int:
    """Return the first image whose header has another size than image 0, else the second image."""
    sizes = set()
    try:
        for index in range(min(len(dataset), _HEADERS)):
            with Image.open(dataset.get_data_info(index)['img_path']) as image:
                sizes.add(image.size)
            if len(sizes) > 1:
                return index
    except Exception:  # of no file, or of what is no image: the pipeline says so
        pass
    return min(1, len(dataset) - 1)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Raise :class:`ConfigError` for the errors that a wrong config causes."""
    try:
        yield
    except (ConfigError, RunError, torch.OutOfMemoryError):
        raise
    except (ValueError, TypeError, RuntimeError, AssertionError, LookupError, AttributeError) as e:
        kind = '' if isinstance(e, ValueError) else f'{type(e).__name__}: '
        raise ConfigError(f'{what}: {kind}{one_line(e)}') from e


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Set all modules to training or evaluation for a while."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.train(training)
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _check_model(key: str, model: ImageClassifier, batch: dict, with_loss: bool) -> Tensor:
    """Send the first image through the model and its loss; return it preprocessed."""
    sample, shape = batch['data_samples'][0], tuple(batch['inputs'][0].shape)
    number = sample.gt_label.numel() if 'gt_label' in sample else 1
    if isinstance(model.head, ClsHead) and number != 1:
        raise ConfigError(
            f'model.head.type = {type(model.head).__name__!r} is for one label per image, but the '
            f'first of {key}.dataset has {number}: use MLDecoderHead, or another dataset'
        )
    with _explained(f'the model fails on the first image of {key}, {shape}'):
        data = model.data_preprocessor(copy.deepcopy(batch), False)  # which writes into it
        try:
            feats = model.extract_feat(data['inputs'])
        except (AssertionError, RuntimeError) as error:
            if _OF_SIZES.search(text := one_line(error)):
                fix = 'set it in model.backbone.img_size, or in the pipeline'
                raise ValueError(
                    f'{text} If the network is for one size of images, {fix}'
                ) from error
            raise
        _check_channels(model, feats)
        model.head(feats)
    if with_loss:
        with _explained(f'model.head.loss fails on the first image of {key}'):
            # it may count what it sees
            copy.deepcopy(model.head).loss(feats, data['data_samples'])
    return data['inputs']


def _check_channels(model: ImageClassifier, feats: object) -> None:
    last = feats[-1] if isinstance(feats, list | tuple) else feats
    if not isinstance(last, Tensor):
        return
    head = model.head
    in_channels = getattr(getattr(head, 'decoder', head), 'in_channels', None)
    channels = last.shape[2 if last.dim() == 3 else 1]
    is_linear = type(head) in (LinearClsHead, MultiLabelLinearClsHead)
    if is_linear and last.dim() > 2:
        raise ConfigError(
            f'model.head.type = {type(head).__name__!r} takes pooled features, but gets '
            f"{tuple(last.shape)}: set model.neck=dict(type='GlobalAveragePooling')"
        )
    if (is_linear or hasattr(head, 'decoder')) and in_channels not in (None, channels):
        raise ConfigError(
            f'model.head.in_channels = {in_channels}, but model.backbone '
            f'({type(model.backbone).__name__}) gives {channels} channels (shape '
            f'{tuple(last.shape)}): set model.head.in_channels={channels}'
        )


def _check_batch_norms(model: ImageClassifier, loader: DataLoader, inputs: Tensor) -> None:
    """Raise if batch norms are trained on single images, or get one value per channel."""
    batch_size = loader.batch_size
    if batch_size is None or loader.sampler is None:
        return
    last = 0 if loader.drop_last else len(loader.sampler) % batch_size
    if batch_size != 1 and last != 1:
        return
    with in_mode(model, training=True):
        norms = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) and module.training
            if not (isinstance(module, nn.SyncBatchNorm) and get_world_size() > 1)
        }
    if norms and batch_size == 1:
        raise ConfigError(
            f'train_dataloader.batch_size = 1: each of the {len(norms)} batch norms of the model '
            f'(first: {next(iter(norms))}) would take its mean over one image. Set it to 2 or '
            'more, or keep their statistics with model.backbone.norm_eval=True'
        )
    alone = []

    def note(name, module, inputs):
        if inputs[0].numel() == module.num_features:
            alone.append(name)

    handles = [m.register_forward_pre_hook(partial(note, name)) for name, m in norms.items()]
    try:
        model.head(model.extract_feat(inputs))
    finally:
        for handle in handles:
            handle.remove()
    if alone:
        raise ConfigError(
            f'train_dataloader.batch_size = {batch_size}: the last batch of an epoch has 1 of the '
            f'{len(loader.sampler)} images, and {alone[0]} gets one value per channel, which torch '
            'refuses. Set another batch_size, or train_dataloader.drop_last=True'
        )


def _try_metrics(
    key: str, model: ImageClassifier, batches: Sequence[dict], metrics: Sequence[BaseMetric]
) -> set[str] | None:
    """Give predictions to copies of the metrics; return the names of all scores.

    None if one was not tried: metrics of others may do more with an image, such as write a file.
    None also if it needs more images than these.
    """
    tried = []
    for batch in map(copy.deepcopy, batches):
        predictions = model(**model.data_preprocessor(batch, False), mode='predict')
        tried.append((batch, [sample.to_dict() for sample in predictions]))
    names, all_tried = set(), True
    for metric in metrics:
        if not type(metric).__module__.startswith(('mmpretrain.', 'mmpretrain_mldecoder.eval')):
            all_tried = False
            continue
        trial = copy.copy(metric)
        trial.results = []
        is_ours = isinstance(metric, MultiLabelMAP)
        with _explained(f'{key}: {type(metric).__name__} fails on the first images'):
            try:
                for batch, predictions in tried:
                    trial.process(batch, predictions)
                scores = trial.compute_metrics(trial.results)
            except Exception as error:
                if is_ours or isinstance(error, _OF_FIELDS):
                    raise
                all_tried = False
                continue
        prefix = f'{metric.prefix}/' if metric.prefix else ''
        names |= {f'{prefix}{name}' for name in scores}
    return names if all_tried else None


def _check_monitored(hook: Hook, scores: set[str]) -> None:
    """Raise if a hook waits for a score that no metric gives."""
    monitored, where = getattr(hook, 'save_best', None), 'default_hooks.checkpoint.save_best'
    if isinstance(hook, EarlyStoppingHook):
        monitored, where = hook.monitor, 'EarlyStoppingHook.monitor'
    for name in [monitored] if isinstance(monitored, str) else monitored or ():
        # DualEMAHook adds those of the raw weights, such as coco/mAP_raw.
        if name != 'auto' and name.removesuffix('_raw') not in scores:
            raise ConfigError(
                f'{where} = {name!r}, but val_evaluator gives {", ".join(sorted(scores))}'
                f'{near_names(name, scores)}'
            )
