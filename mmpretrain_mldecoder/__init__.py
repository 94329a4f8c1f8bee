"""ML-Decoder and multi-label classification for MMPretrain.

Importing the package registers everything in MMPretrain's registries, so one line in a config is
enough: ``custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)``.
:mod:`.registration` lists what the import changes in the process.
"""

from importlib import import_module
from types import ModuleType

from .registration import SUBPACKAGES, register
from .version import __version__

register()

__all__ = ['__version__', *SUBPACKAGES]


def __getattr__(name: str) -> ModuleType:
    """Import a subpackage when it is first asked for as an attribute."""
    if name not in SUBPACKAGES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return import_module(f'.{name}', __name__)
