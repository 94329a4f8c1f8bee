"""Do the head, the datasets and the metrics speak of the same classes?"""

from collections.abc import Mapping, Sequence

from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmpretrain.evaluation import Accuracy, ConfusionMatrix, MultiLabelMetric, SingleLabelMetric
from mmpretrain.models.heads import ClsHead, MultiLabelClsHead
from torch import nn

from ...errors import ConfigError
from ...evaluation.metrics import MultiLabelMAP


def check_classes(model: BaseModel, datasets: Mapping[str, object]) -> None:
    """Raise if the head has another number of classes than a dataset, or two datasets differ.

    Args:
        model (BaseModel): With or without a head that knows its ``num_classes``.
        datasets (Mapping[str, object]): By the key of their loader, such as
            ``'train_dataloader'``. Those without ``metainfo['classes']`` are passed over.

    Raises:
        ConfigError: As said.
    """
    named = {key: _classes(dataset) for key, dataset in datasets.items()}
    named = {key: classes for key, classes in named.items() if classes}
    number = getattr(getattr(model, 'head', None), 'num_classes', None)
    for key, classes in named.items():
        if number is not None and len(classes) != number:
            raise ConfigError(
                f'model.head.num_classes = {number}, but {key}.dataset has {len(classes)} classes '
                f'({_some(classes)}): set model.head.num_classes={len(classes)}'
            )
    _check_preprocessor(model, number)
    if len(named) > 1:
        (first, classes), *others = named.items()
        for key, other in others:
            if list(other) != list(classes):
                raise ConfigError(_difference(first, classes, key, other))


def _classes(dataset: object) -> Sequence[str] | None:
    return (getattr(dataset, 'metainfo', None) or {}).get('classes')


def _some(classes: Sequence[str]) -> str:
    return ', '.join(map(str, classes[:3])) + (', ...' if len(classes) > 3 else '')


def _check_preprocessor(model: BaseModel, number: int | None) -> None:
    preprocessor = getattr(model, 'data_preprocessor', None)
    own = getattr(preprocessor, 'num_classes', None)
    # It is read for one-hot targets only; elsewhere another number does no harm.
    if None not in (own, number) and own != number and getattr(preprocessor, 'to_onehot', False):
        raise ConfigError(
            f'data_preprocessor.num_classes = {own}, but model.head.num_classes = {number}: with '
            'one-hot targets (to_onehot, or augmentation of whole batches) they must be the same'
        )


def _difference(first: str, classes: Sequence, second: str, other: Sequence) -> str:
    if len(classes) != len(other):
        return (
            f'{first}.dataset has {len(classes)} classes, {second}.dataset has {len(other)}: give '
            'both the same `classes`'
        )
    index = next(i for i, pair in enumerate(zip(classes, other, strict=True)) if len(set(pair)) > 1)
    return (
        f'label {index} is {classes[index]!r} in {first}.dataset and {other[index]!r} in '
        f'{second}.dataset: scores would be compared with the labels of other classes. Give both '
        'the same `classes` in the same order'
    )


def check_metrics(model: BaseModel, key: str, metrics: Sequence[BaseMetric]) -> None:
    """Raise if a metric is for another kind of head, or ranks more labels than there are.

    Args:
        model (BaseModel): A classifier.
        key (str): That of the metrics in the config, such as ``'val_evaluator'``.
        metrics (Sequence[BaseMetric]): All of the evaluator's.

    Raises:
        ConfigError: As said.
    """
    head = getattr(model, 'head', None)
    number = getattr(head, 'num_classes', None)
    for metric in metrics:
        name = type(metric).__name__
        for_one_label = isinstance(metric, Accuracy | SingleLabelMetric | ConfusionMatrix)
        if for_one_label and isinstance(head, MultiLabelClsHead):
            raise ConfigError(
                f'{key}.type = {name!r} is for one label an image, but model.head.type = '
                f'{type(head).__name__!r} is for many: use MultiLabelMAP'
            )
        topk = _topk_of_metric(metric)
        if None not in (topk, number) and topk > number:
            raise ConfigError(
                f'{key}.topk = {metric.topk} of {name}, but model.head.num_classes = {number}: '
                f'take at most {number}'
            )


def _topk_of_metric(metric: BaseMetric) -> int | None:
    if isinstance(metric, Accuracy):
        return max(metric.topk)
    if isinstance(metric, MultiLabelMAP):
        return metric.topk if metric.with_f1 else None
    if isinstance(metric, MultiLabelMetric):
        return metric.topk if metric.thr is None else None
    return None


def check_topk(head: nn.Module) -> None:
    """Raise if a head of the host's kind is asked for more labels than it has classes.

    Raises:
        ConfigError: As said.
    """
    number = getattr(head, 'num_classes', None)
    topk = None
    if isinstance(head, MultiLabelClsHead) and head.thr is None:
        topk = head.topk
    elif isinstance(head, ClsHead) and head.cal_acc:
        topk = max(head.topk)
    if None not in (number, topk) and topk > number:
        raise ConfigError(
            f'model.head.topk = {head.topk}, but model.head.num_classes = {number}: take at most '
            f'{number}'
        )
