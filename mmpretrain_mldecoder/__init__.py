"""ML-Decoder and multi-label classification for MMPretrain.

Importing the package registers everything in MMPretrain's registries, so one line in a config is
enough: ``custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)``. It
also makes the rows of ``configs/`` known by name to ``mmpretrain.list_models`` and ``get_model``.
What is registered waits for the part of MMPretrain that would use it: see :mod:`.registration`.
"""

from importlib import import_module
from types import ModuleType

from .host_check import check_host
from .version import __version__

check_host()

from .model_index import register_model_index  # noqa: E402  (imports the host)
from .registration import SUBPACKAGES, register_when_used  # noqa: E402

register_model_index()
register_when_used()

__all__ = ['__version__', *SUBPACKAGES]


def __getattr__(name: str) -> ModuleType:
    """Import a subpackage when it is first asked for as an attribute."""
    if name not in SUBPACKAGES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return import_module(f'.{name}', __name__)
