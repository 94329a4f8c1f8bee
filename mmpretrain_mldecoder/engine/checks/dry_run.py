"""One image through pipeline, model and metric, before the first epoch."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import ClsHead, LinearClsHead, MultiLabelLinearClsHead
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ...datasets.seeded_sampler import sample_random_state
from ...errors import ConfigError, RunError

_WRONG = (ValueError, TypeError, RuntimeError, AssertionError, LookupError, AttributeError)


def first_batch(key: str, loader: DataLoader) -> dict | None:
    """Return the first image of a loader's dataset, as a batch.

    It is made in this process, under a seed of its own: nothing that a training draws moves.

    Args:
        key (str): That of the loader in the config, such as ``'val_dataloader'``.
        loader (DataLoader): No worker of it is started.

    Returns:
        dict | None: None if the samples are of another form, as those of several views are.

    Raises:
        ConfigError: If the pipeline does not give what a classifier reads.
    """
    dataset = loader.dataset
    if not hasattr(dataset, '__getitem__') or not hasattr(dataset, '__len__') or not len(dataset):
        return None
    try:
        with sample_random_state(0):
            sample = dataset[0]
    except RunError:
        raise
    except _WRONG as error:
        raise ConfigError(
            f'{key}.dataset.pipeline does not take the first image: {_said(error)}'
        ) from error
    if not isinstance(sample, dict):  # no pipeline of MMEngine
        return None
    if 'inputs' not in sample or 'data_samples' not in sample:
        raise ConfigError(
            f'{key}.dataset.pipeline ends with {", ".join(sorted(sample))}, but a classifier reads '
            "inputs and data_samples: let it end with dict(type='PackMultiLabelInputs'), or with "
            'PackInputs'
        )
    if not isinstance(sample['inputs'], Tensor):
        return None
    return loader.collate_fn([sample])


def check_labels(key: str, model: ImageClassifier, batch: dict) -> None:
    """Raise if a head for one label gets a sample with several, or with none.

    Raises:
        ConfigError: As said.
    """
    sample = batch['data_samples'][0]
    if not isinstance(model.head, ClsHead) or 'gt_label' not in sample:
        return
    if sample.gt_label.numel() != 1:
        raise ConfigError(
            f'model.head.type = {type(model.head).__name__!r} is for one label an image, but the '
            f'first of {key}.dataset has {sample.gt_label.numel()}: use MLDecoderHead, or another '
            'dataset'
        )


@contextmanager
def quiet_evaluation(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation for a while, without gradients, log lines or warnings."""
    modes = {module: module.training for module in model.modules()}
    logger = MMLogger.get_current_instance()
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            model.eval()
            yield
    finally:
        logger.disabled = was_disabled
        for module, mode in modes.items():
            module.training = mode


def check_forward(key: str, model: ImageClassifier, batch: dict) -> None:
    """Raise if a batch of this loader does not go through the model.

    Raises:
        ConfigError: It names the head's ``in_channels`` where these are wrong.
    """
    # Copied: the preprocessor writes into the data samples.
    batch = copy.deepcopy(batch)
    try:
        inputs = model.data_preprocessor(batch, False)['inputs']
        feats = model.extract_feat(inputs, stage='neck')
        _check_channels(model, feats)
        model.head(feats)
    except ConfigError:
        raise
    except _WRONG as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ConfigError(
            f'the first image of {key}, {tuple(batch["inputs"][0].shape)}, does not go through '
            f'the model: {_said(error)}'
        ) from error


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


def rehearse_metrics(
    key: str, model: ImageClassifier, batch: dict, metrics: Sequence[BaseMetric]
) -> set[str] | None:
    """Predict one batch and give it to copies of the metrics.

    Only MMPretrain's metrics and those here are tried: what others do with one image, such as
    writing a file, is not known.

    Args:
        key (str): That of the metrics in the config, such as ``'val_evaluator'``.
        model (ImageClassifier): In evaluation.
        batch (dict): Of one image.
        metrics (Sequence[BaseMetric]): They stay as they are.

    Returns:
        set[str] | None: The names of all numbers, None if there is a metric that was not tried.

    Raises:
        ConfigError: If a metric misses something that the pipeline does not pack.
    """
    batch = copy.deepcopy(batch)
    predictions = model(**model.data_preprocessor(batch, False), mode='predict')
    predictions = [sample.to_dict() for sample in predictions]
    names: set[str] | None = set()
    for metric in metrics:
        if not type(metric).__module__.startswith(('mmpretrain.', 'mmpretrain_mldecoder.eval')):
            names = None
            continue
        trial = copy.copy(metric)
        trial.results = []
        try:
            trial.process(batch, predictions)
            numbers = trial.compute_metrics(trial.results)
        except _WRONG as error:
            raise ConfigError(
                f'{key}: {type(metric).__name__} cannot count the first image: {_said(error)}'
            ) from error
        if names is not None:
            prefix = f'{metric.prefix}/' if metric.prefix else ''
            names |= {f'{prefix}{name}' for name in numbers}
    return names


def _said(error: Exception) -> str:
    text = ' '.join(str(error).split())
    return text if isinstance(error, ValueError) else f'{type(error).__name__}: {text}'
