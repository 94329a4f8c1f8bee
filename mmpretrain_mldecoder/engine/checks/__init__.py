"""Checks of a config at the start of a run, and errors that name the key and the value."""

from .build import ExplainedBuilds, check_type_names
from .config_error import check_option, explained, read_config, unknown_type

__all__ = [
    'ExplainedBuilds',
    'check_option',
    'check_type_names',
    'explained',
    'read_config',
    'unknown_type',
]
