"""What people call from Python: prediction, thresholds, export, and conversion of weights."""

from ..datasets.image_header import image_suffixes
from .class_prior import write_class_prior
from .convert_weights import convert_weights
from .export.export_model import export_model
from .export.parity import Export, export_report
from .inference.image_inputs import expand_inputs
from .inference.multi_label_inferencer import MultiLabelInferencer
from .prediction_folder import write_predictions
from .split_scores import SplitScores, split_scores, use_stored_thresholds
from .thresholds import (
    TunedThresholds,
    check_storable,
    store_thresholds,
    stored_thresholds,
    threshold_report,
    tune_thresholds,
)

__all__ = [
    'Export',
    'MultiLabelInferencer',
    'PredictionOptions',
    'PredictionRun',
    'SplitScores',
    'TunedThresholds',
    'check_storable',
    'convert_weights',
    'expand_inputs',
    'export_model',
    'export_report',
    'image_suffixes',
    'split_scores',
    'store_thresholds',
    'stored_thresholds',
    'threshold_report',
    'tune_thresholds',
    'use_stored_thresholds',
    'write_class_prior',
    'write_predictions',
]


def __getattr__(name: str):
    """Import what draws when it is first asked for: matplotlib takes long."""
    if name not in ('PredictionOptions', 'PredictionRun'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from . import prediction_run

    return getattr(prediction_run, name)
