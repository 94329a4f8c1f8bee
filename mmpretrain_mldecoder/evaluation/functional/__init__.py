"""The math of the metrics: NumPy only, usable without MMPretrain."""

from .average_precision import MAP_TYPES, average_precision, class_mean
from .object_size import SIZE_BINS, object_size_mask, object_size_targets
from .precision_recall import class_f1, precision_recall_at_threshold, precision_recall_at_topk
from .thresholds import best_f1_thresholds, precision_thresholds

__all__ = [
    'MAP_TYPES',
    'SIZE_BINS',
    'average_precision',
    'best_f1_thresholds',
    'class_f1',
    'class_mean',
    'object_size_mask',
    'object_size_targets',
    'precision_recall_at_threshold',
    'precision_recall_at_topk',
    'precision_thresholds',
]
