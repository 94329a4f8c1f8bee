"""Checks of the labels that a run is about to use."""

import logging
import os.path as osp
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmpretrain.datasets import VOC, PackInputs
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

    The datasets, of a training or test of the model, are given by their keys in the config.
    """
    for line in _trained_on(datasets):
        logger.warning(line)
    for key, dataset in datasets.items():
        is_training = key.startswith('train')
        _check_counts(key, dataset, model, is_training, logger)
        for each in inner_datasets(dataset):
            if isinstance(each, BaseDataset):
                _check_indices(key, each)
                absent = [getattr(step, 'absent', '') for step in each.pipeline.transforms]
                if is_training and 'unknown' in absent and (reason := _unlearned(model)):
                    raise ConfigError(
                        f"{key}: PackMultiLabelInputs has absent='unknown', so no label is known "
                        f'to be absent, and {reason}'
                    )
                for line in (*_unread(each), *_doubtful(each, model, is_training)):
                    logger.warning(f'{key}: {line}')


def _check_counts(
    key: str, dataset: object, model: BaseModel, is_training: bool, logger: logging.Logger
) -> None:
    """Raise or warn for classes without a positive label, and for those without a negative one."""
    parts = [p for p in inner_datasets(dataset) if getattr(p, 'data_list', None) is not None]
    if not parts or not all(map(_is_counted, parts)):
        return
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    number = sum(map(len, parts))
    positives, negatives = sum(np.array(known_labels(p).class_counts(len(classes))) for p in parts)

    def listed_classes(which: np.ndarray) -> str:
        return printable(listed([str(classes[index]) for index in np.flatnonzero(which)], 10))

    if not positives.any():
        text = f'{key}: none of its {number} images has a label'
        if is_training:
            raise ConfigError(
                f'{text}, so there is nothing to learn. Check its annotations, classes and '
                'min_box_area'
            )
        logger.warning(f'{text}, so there is no mAP')
    if not is_training:
        return
    certain = (negatives == 0) & (positives > 0)
    has_unknown = positives + negatives < number
    if (certain & has_unknown).any() and (reason := _unlearned(model)):
        text = (
            f'{key}: {certain.sum()} of {len(classes)} classes have no image that is known to lack '
            f'them, and {reason}, or label images without them: {listed_classes(certain)}'
        )
        if not negatives.any():
            raise ConfigError(text)
        logger.warning(text)
    if not positives.all():
        absent = positives == 0
        learned = 'that they are absent' if negatives[absent].any() else 'nothing of them'
        logger.warning(
            f'{key}: {absent.sum()} of {len(classes)} classes have no image, the model learns '
            f'{learned}: {listed_classes(absent)}'
        )


def _is_counted(dataset: BaseDataset) -> bool:
    """Return whether labels are arrays, or those of a small dataset; others would take long."""
    of_voc = isinstance(dataset, VOC) and dataset.ann_prefix is not None
    return of_voc or isinstance(dataset.data_list, CocoSamples)


def _trained_on(datasets: Mapping[str, object]) -> Iterator[str]:
    """Yield how many images of a validation or test are trained on."""
    tested = {key: data for key, data in datasets.items() if not key.startswith('train')}
    if not tested:
        return
    trained = set().union(
        *(_img_paths(data) for key, data in datasets.items() if key not in tested)
    )
    for key, dataset in tested.items() if trained else ():
        found = _img_paths(dataset)
        if shared := len(found & trained):
            yield (
                f'{key}: {shared:,} of its {len(found):,} images are trained on, so its scores are '
                'too high. Take them out of the training, or name another split'
            )


def _img_paths(dataset: object) -> set[str]:
    """Return the paths of images of COCO and VOC; to make all samples of others would take long."""
    paths: set[str] = set()
    for part in inner_datasets(dataset):
        samples = getattr(part, 'data_list', None)
        if isinstance(samples, CocoSamples):
            paths.update(map(osp.normpath, samples.img_paths()))
        elif isinstance(part, VOC):
            infos = map(part.get_data_info, range(len(part)))
            paths.update(osp.normpath(info['img_path']) for info in infos)
    return paths


def _unlearned(model: BaseModel) -> str:
    """Return what is wrong if the loss learns nothing from unknown labels, else ''."""
    loss = getattr(getattr(model, 'head', None), 'loss_module', None)
    if isinstance(loss, PartialLabelLoss):
        return ''
    return (
        f'{type(loss).__name__} learns nothing from unknown labels: all scores would rise to 1. '
        "Set model.head.loss to one that does, such as dict(type='HillLoss') "
        '(docs/partial_labels.md)'
    )


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


def _unread(dataset: BaseDataset) -> Iterator[str]:
    """Yield what the host's datasets take and do not use."""
    has_filter = type(dataset).filter_data is not BaseDataset.filter_data
    if dataset.filter_cfg and not has_filter and not isinstance(dataset, COCOMultiLabel):
        name = type(dataset).__name__
        yield f'filter_cfg = {dataset.filter_cfg} does nothing, {name} has no filter: remove it'
    if 'CLASSES' in dataset.metainfo:
        yield 'metainfo.CLASSES does nothing: write metainfo=dict(classes=...)'


def _doubtful(dataset: BaseDataset, model: BaseModel, is_training: bool) -> Iterator[str]:
    """Yield how doubtful labels are counted where that is not as unknown."""
    info = dataset.get_data_info(0) if len(dataset) else {}
    packs = [t for t in dataset.pipeline.transforms if isinstance(t, PackInputs)]
    if info.get('gt_label_difficult') is None or not packs:
        return
    pack, head = packs[-1], getattr(model, 'head', None)
    has_score = 'gt_score' in info or getattr(pack, 'num_classes', None) is not None
    what = 'labels that its annotations call difficult count as absent'
    number = len(dataset.metainfo.get('classes') or ())
    if not has_score and 'gt_label_difficult' not in (*pack.meta_keys, *pack.algorithm_keys):
        yield (
            f'{what}, as {type(pack).__name__} drops gt_label_difficult. End the pipeline with '
            "dict(type='PackMultiLabelInputs'), which keeps them as unknown (as absent with "
            "difficult='negative')"
        )
        return
    is_known = getattr(pack, 'difficult', 'unknown') != 'unknown'
    if is_known or not is_training or isinstance(head, MLDecoderHead):
        return
    if not has_score:
        yield (
            f'{what} in the loss of {type(head).__name__}. End the pipeline with '
            f"dict(type='PackMultiLabelInputs', num_classes={number})"
        )
    elif not _knows_unknown(getattr(head, 'loss_module', None), number):
        raise ConfigError(
            f'model.head.loss: {type(head.loss_module).__name__} does not leave out unknown labels '
            "(-1), which the training data have. Set it to dict(type='DetachedAsymmetricLoss'), "
            "or end the pipeline with dict(type='PackMultiLabelInputs', difficult='negative')"
        )


def _knows_unknown(loss: nn.Module | None, num_classes: int) -> bool:
    """Return whether a loss has a use for -1, or leaves it out."""
    if loss is None or isinstance(loss, PartialLabelLoss):
        return True
    with torch.enable_grad():
        scores = torch.zeros(1, num_classes, requires_grad=True)
        value = loss(scores, -torch.ones(1, num_classes), avg_factor=1).sum()
        (gradient,) = torch.autograd.grad(value, scores, allow_unused=True)
    return gradient is None or not gradient.any()
