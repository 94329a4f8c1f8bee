"""Mistakes in a config, told at the start with the key, the value and the way out."""

from .check_hook import ConfigCheckHook
from .config_mistake import ConfigMistake, explained, type_mistake
from .explained_builds import ExplainedBuilds
from .options import check_option, warn_of_near_keys
from .type_names import check_type_names

__all__ = [
    'ConfigCheckHook',
    'ConfigMistake',
    'ExplainedBuilds',
    'check_option',
    'check_type_names',
    'explained',
    'type_mistake',
    'warn_of_near_keys',
]
