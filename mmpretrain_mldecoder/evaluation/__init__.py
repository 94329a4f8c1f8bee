"""Metrics: the math in ``functional`` (NumPy only), the glue to MMEngine in ``metrics``."""

from .functional import (
    average_precision,
    class_mean,
    object_size_mask,
    object_size_targets,
    precision_recall_at_threshold,
    precision_recall_at_topk,
)
from .metrics import MultiLabelMAP

__all__ = [
    'MultiLabelMAP',
    'average_precision',
    'class_mean',
    'object_size_mask',
    'object_size_targets',
    'precision_recall_at_threshold',
    'precision_recall_at_topk',
]
