"""Register everything beside the part of the host that uses it, at the moment that is imported.

The host's parts take most of a second to import, and MMEngine's registries import them when a name
is first looked up. Importing this package does not do it for them: so it costs little where only
``layers`` or the names of the rows are wanted, and nothing is registered too late, because ours
follows each part before the import of that part returns.
"""

import warnings
from functools import partial
from importlib import import_module
from types import ModuleType

import wrapt

# Part of the host -> subpackages of ours that follow it. They import no other part of the host,
# but for parts that it imports itself: so they never meet one that is half imported.
_FOLLOWERS = {
    # Who loads a checkpoint imports the runner: from then on it is read weights-only.
    'mmengine.runner': ('engine', 'weights'),
    'mmpretrain.engine': ('engine', 'weights'),
    'mmpretrain.models': ('models', 'weights'),
    'mmpretrain.datasets': ('datasets',),
    'mmpretrain.evaluation': ('evaluation',),
}
SUBPACKAGES = tuple(dict.fromkeys(name for names in _FOLLOWERS.values() for name in names))


def register_when_used() -> None:
    """Arrange for all registrations; parts that are imported already are followed at once."""
    # mmcv-lite has no compiled ops, says so for each, and nothing here wants one.
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    for part, subpackages in _FOLLOWERS.items():
        wrapt.register_post_import_hook(partial(_import, subpackages), part)


def _import(subpackages: tuple[str, ...], _: ModuleType) -> None:
    for name in subpackages:
        import_module(f'.{name}', __package__)
