"""ML-Decoder and multi-label classification for MMPretrain.

Importing the package registers everything in MMPretrain's registries, so one line in a config is
enough: ``custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)``.
:mod:`.registration` lists what the import changes in the process. What people call from Python,
:mod:`.apis`, can be imported from here, too. :mod:`.layers` needs torch alone.
"""

from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .registration import SUBPACKAGES, register
from .version import __version__

register()

__all__ = ['__version__', *SUBPACKAGES]


def __getattr__(name: str) -> Any:
    """Import a subpackage, or what ``apis`` exports, when it is first asked for."""
    if name in SUBPACKAGES:
        return import_module(f'.{name}', __name__)
    if not name.startswith('_') and find_spec(f'.{name}', __name__) is None:  # no module of ours
        apis = import_module('.apis', __name__)
        if name in apis.__all__:
            return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    names = {*globals(), *__all__}
    with suppress(ImportError):  # where torch alone is
        names |= {*import_module('.apis', __name__).__all__}
    return sorted(names)
