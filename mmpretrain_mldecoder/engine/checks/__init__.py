"""Checks of a config at the start of a run."""

from .build import ExplainedBuilds, check_type_names
from .config_error import check_option, explained, type_mistake, warn_of_near_keys
from .start import ConfigCheckHook

__all__ = [
    'ConfigCheckHook',
    'ExplainedBuilds',
    'check_option',
    'check_type_names',
    'explained',
    'type_mistake',
    'warn_of_near_keys',
]
