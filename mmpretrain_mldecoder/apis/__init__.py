"""Prediction from Python."""

from .image_inputs import IMAGE_SUFFIXES, expand_inputs
from .multi_label_inferencer import MultiLabelInferencer
from .prediction_file import write_predictions
from .thresholds import stored_thresholds

__all__ = [
    'IMAGE_SUFFIXES',
    'MultiLabelInferencer',
    'expand_inputs',
    'stored_thresholds',
    'write_predictions',
]
