"""Classifiers of MMPretrain around any backbone, and models of which the shapes are enough."""

from mmengine.model import BaseModel
from mmpretrain.registry import MODELS

from mmpretrain_mldecoder.analysis.model_table import _EmptyOnMeta


def classifier_of(
    backbone: dict, num_classes: int, in_channels: int, head: str = 'LinearClsHead', **options
) -> BaseModel:
    """Build a classifier; its head gets pooled features, or the map if it is an ML-Decoder."""
    neck = None if head == 'MLDecoderHead' else dict(type='GlobalAveragePooling')
    head = dict(type=head, num_classes=num_classes, in_channels=in_channels, **options)
    return MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head))


without_weights = _EmptyOnMeta
"""A context in which new weights have a shape only, and take no time."""


def build_without_weights(model: dict) -> BaseModel:
    """Build a model on the meta device, without loading what it starts from."""
    backbone = {key: value for key, value in model['backbone'].items() if key != 'init_cfg'}
    with without_weights():
        return MODELS.build({**model, 'backbone': backbone}).eval().to('meta')
