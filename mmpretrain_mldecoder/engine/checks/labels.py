"""Checks of the labels that a run is about to use."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmpretrain.datasets import PackInputs
from torch import nn

from ...datasets import COCOMultiLabel, CocoSamples
from ...datasets.dataset_wrappers import inner_datasets
from ...datasets.known_labels import known_labels
from ...errors import ConfigError
from ...fileio.terminal import listed, printable
from ...models.heads import MLDecoderHead
from ...models.losses import PartialLabelLoss


def check_labels(model: BaseModel, datasets: Mapping[str, object], logger: logging.Logger) -> None:
    """Raise or warn for labels that make no sense, or that do not mean what they seem to.

    Args:
        model (BaseModel): What is trained or tested.
        datasets (Mapping): By their keys in the config.
        logger (Logger): For the warnings.
    """
    for key, dataset in datasets.items():
        is_training = key.startswith('train')
        _check_counts(key, dataset, model, is_training, logger)
        for each in inner_datasets(dataset):
            if isinstance(each, BaseDataset):
                _check_indices(key, each)
                if is_training:
                    _check_unlisted(key, each, model)
                for line in (*_unread(each), *_doubtful(each, model, is_training)):
                    logger.warning(f'{key}: {line}')


def _check_counts(
    key: str, dataset: object, model: BaseModel, is_training: bool, logger: logging.Logger
) -> None:
    parts = [
        each for each in inner_datasets(dataset) if getattr(each, 'data_list', None) is not None
    ]
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    if not parts or not all(isinstance(each.data_list, CocoSamples) for each in parts):
        return  # of other datasets, each sample would have to be made
    counts = sum(each.data_list.images_per_label() for each in parts)
    number = sum(map(len, parts))
    if is_training:
        _check_negatives(key, parts, classes, model, logger)
    if not counts.any():
        text = f'{key}: none of its {number} images has a label'
        if is_training:
            raise ConfigError(
                f'{text}, so there is nothing to learn. Check its ann_file, classes and '
                'min_box_area'
            )
        logger.warning(f'{text}, so there is no mAP')
    elif is_training and not counts.all():
        without = [str(classes[i]) for i in np.flatnonzero(counts == 0)]
        logger.warning(
            f'{key}: {len(without)} of {len(classes)} classes have no image, the model learns that '
            f'they are absent: {printable(listed(without, 10))}'
        )


def _check_negatives(
    key: str,
    parts: Sequence[COCOMultiLabel],
    classes: Sequence[str],
    model: BaseModel,
    logger: logging.Logger,
) -> None:
    """Raise or warn if all known labels of a class are positive, and the loss needs others."""
    loss = getattr(getattr(model, 'head', None), 'loss_module', None)
    positives, negatives = sum(np.array(known_labels(p).class_counts(len(classes))) for p in parts)
    certain = (negatives == 0) & (positives > 0)
    has_unknown = positives + negatives < sum(map(len, parts))
    if isinstance(loss, PartialLabelLoss) or not (certain & has_unknown).any():
        return
    text = (
        f'{key}: {certain.sum()} of {len(classes)} classes have no image that is known to lack '
        f'them, and {type(loss).__name__} learns nothing from unknown labels: all their scores '
        "would rise to 1. Set model.head.loss to one that does, such as dict(type='HillLoss'), or "
        'label images without them (docs/partial_labels.md): '
        f'{printable(listed([str(classes[i]) for i in np.flatnonzero(certain)], 10))}'
    )
    if not negatives.any():
        raise ConfigError(text)
    logger.warning(text)


def _check_indices(key: str, dataset: BaseDataset) -> None:
    labels = dataset.get_data_info(0).get('gt_label') if len(dataset) else None
    names = [label for label in labels if isinstance(label, str)] if np.ndim(labels) else []
    if names:
        classes = list(dataset.metainfo.get('classes') or ())
        index = f', here {classes.index(names[0])}' if names[0] in classes else ''
        raise ConfigError(
            f'{key}: gt_label of the first image has the name {names[0]!r}, but '
            f'{type(dataset).__name__} passes on indices of the classes: write them{index}'
        )


def _check_unlisted(key: str, dataset: BaseDataset, model: BaseModel) -> None:
    """Raise if no label is known to be absent, and the loss learns nothing from unknown ones."""
    unlisted = [getattr(each, 'absent', 'negative') for each in dataset.pipeline.transforms]
    loss = getattr(getattr(model, 'head', None), 'loss_module', None)
    if 'unknown' in unlisted and not isinstance(loss, PartialLabelLoss):
        raise ConfigError(
            f"{key}: PackMultiLabelInputs has absent='unknown', so no label is known to be absent, "
            f'and {type(loss).__name__} learns nothing from unknown ones: all scores would rise to '
            "1. Set model.head.loss to one that does, such as dict(type='HillLoss') "
            '(docs/partial_labels.md)'
        )


def _unread(dataset: BaseDataset) -> list[str]:
    """Return what the host's datasets take and do not use."""
    lines = []
    is_read = isinstance(dataset, COCOMultiLabel) or (
        type(dataset).filter_data is not BaseDataset.filter_data
    )
    if dataset.filter_cfg and not is_read:
        name = type(dataset).__name__
        lines.append(
            f'filter_cfg = {dataset.filter_cfg} does nothing, {name} has no filter: remove it'
        )
    if 'CLASSES' in dataset.metainfo:
        lines.append('metainfo.CLASSES does nothing: write metainfo=dict(classes=...)')
    return lines


def _doubtful(dataset: BaseDataset, model: BaseModel, is_training: bool) -> list[str]:
    """Return how doubtful labels are counted where that is not as unknown."""
    info = dataset.get_data_info(0) if len(dataset) else {}
    packs = [t for t in dataset.pipeline.transforms if isinstance(t, PackInputs)]
    if info.get('gt_label_difficult') is None or not packs:
        return []
    pack, head = packs[-1], getattr(model, 'head', None)
    has_score = 'gt_score' in info or getattr(pack, 'num_classes', None) is not None
    what = 'labels that its annotations call difficult count as absent'
    if not has_score and 'gt_label_difficult' not in (*pack.meta_keys, *pack.algorithm_keys):
        return [
            f'{what}, as {type(pack).__name__} drops gt_label_difficult. End the pipeline with '
            "dict(type='PackMultiLabelInputs'), which keeps them as unknown (as absent with "
            "difficult='negative')"
        ]
    is_known = getattr(pack, 'difficult', 'unknown') != 'unknown'
    if is_known or not is_training or isinstance(head, MLDecoderHead):
        return []
    number = len(dataset.metainfo.get('classes') or ())
    if not has_score:
        return [
            f'{what} in the loss of {type(head).__name__}. End the pipeline with '
            f"dict(type='PackMultiLabelInputs', num_classes={number})"
        ]
    if not _knows_unknown(getattr(head, 'loss_module', None), number):
        raise ConfigError(
            f'model.head.loss: {type(head.loss_module).__name__} does not leave out unknown labels '
            "(-1), which the training data have. Set it to dict(type='DetachedAsymmetricLoss'), "
            "or end the pipeline with dict(type='PackMultiLabelInputs', difficult='negative')"
        )
    return []


def _knows_unknown(loss: nn.Module | None, num_classes: int) -> bool:
    """Return whether a loss has a use for -1, or leaves it out."""
    if loss is None or isinstance(loss, PartialLabelLoss):
        return True
    with torch.enable_grad():
        scores = torch.zeros(1, num_classes, requires_grad=True)
        value = loss(scores, -torch.ones(1, num_classes), avg_factor=1).sum()
        (gradient,) = torch.autograd.grad(value, scores, allow_unused=True)
    return gradient is None or not gradient.any()
