"""Prediction from Python."""

from .inference.image_inputs import IMAGE_SUFFIXES, expand_inputs
from .inference.multi_label_inferencer import MultiLabelInferencer
from .predictions.prediction_file import write_predictions
from .thresholds.stored_thresholds import stored_thresholds

__all__ = [
    'IMAGE_SUFFIXES',
    'MultiLabelInferencer',
    'expand_inputs',
    'stored_thresholds',
    'write_predictions',
]
