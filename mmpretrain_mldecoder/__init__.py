"""ML-Decoder and multi-label classification for MMPretrain.

Importing the package registers everything in MMPretrain's registries, so one line in a config is
enough: ``custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)``.
:mod:`.registration` lists what the import changes in the process. What people call from Python,
:mod:`.apis`, can be imported from here, too. :mod:`.layers` needs torch alone.
"""

from importlib import import_module
from typing import Any

from .registration import SUBPACKAGES, register
from .version import __version__

register()

# The public names of `apis`, which is imported when one of them is first asked for.
_APIS = (
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
    'write_predictions',
)
__all__ = ['__version__', *SUBPACKAGES, *_APIS]


def __getattr__(name: str) -> Any:
    """Import a subpackage, or what ``apis`` exports, when it is first asked for."""
    if name in SUBPACKAGES:
        return import_module(f'.{name}', __name__)
    if name in _APIS:
        return getattr(import_module('.apis', __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
