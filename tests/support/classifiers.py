"""Classifiers of MMPretrain around any backbone, which hold the weights of other programs."""

from mmengine.model import BaseModel
from mmpretrain.registry import MODELS

import mmpretrain_mldecoder  # noqa: F401


def classifier_of(
    backbone: dict, num_classes: int, in_channels: int, head: str = 'LinearClsHead', **options
) -> BaseModel:
    """Build a classifier; its head gets pooled features, or the map if it is an ML-Decoder."""
    neck = None if head == 'MLDecoderHead' else dict(type='GlobalAveragePooling')
    head = dict(type=head, num_classes=num_classes, in_channels=in_channels, **options)
    return MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head))
