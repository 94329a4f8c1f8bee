"""Registration of everything in the package: what importing it changes in the process.

- MMPretrain's registries get our datasets, models, metrics, hooks, ..., and MMEngine's ``RUNNERS``
  gets ``PortableRunner``.
- ``mmpretrain.list_models`` and ``get_model`` know the rows of ``configs/`` by name.
- MMEngine's ``CheckpointLoader`` gets ``paddleclas://``, ``paddlex://``, ``timm://`` and
  ``miil://``. Its own loaders, of files, ``http://``, ``https://``, ``torchvision://``,
  ``modelzoo://``, ``open-mmlab://``, ``openmmlab://``, ``mmcls://``, ``s3://``, ``petrel://`` and
  ``pavi://``, are replaced by ones that load weights-only; ``checkpoints/loaders.py`` says why
  none can stay.
- MMEngine's initializer ``Pretrained`` is replaced by one that is strict.
- mmcv-lite's warning about a missing compiled op is filtered: nothing here uses compiled ops.
- Beside a transformers that is too new for them, MMPretrain's multimodal models are left out.

What belongs to a part of the host waits until that part is imported: the host takes seconds to
import, and MMEngine's registries import its parts when a name is first looked up. Without the host
nothing is registered, and what needs it says so when it is imported.
"""

import sys
import warnings
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module, metadata
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).resolve().parent

# Part of the host -> our subpackages that are imported right after it. They import only parts of
# the host that it imports itself, so that they never meet one that is half imported.
_FOLLOWERS = {
    # Whoever loads a checkpoint imports the runner: from then on it is loaded weights-only.
    'mmengine.runner': ('engine', 'checkpoints'),
    'mmpretrain.models': ('models',),
    'mmpretrain.datasets': ('datasets',),
    'mmpretrain.evaluation': ('evaluation',),
}
_FOLLOWING = tuple(dict.fromkeys(name for names in _FOLLOWERS.values() for name in names))
_NEED_HOST = (*_FOLLOWING, 'visualization', 'apis', 'analysis')
SUBPACKAGES = ('layers', *_NEED_HOST)


def register() -> None:
    """Arrange for what the module docstring lists.

    Raises:
        RunError: If MMEngine imports the package for a config, and the rest of the host is missing.
    """
    if missing := _missing_host():
        if _caller_of_import().startswith('mmengine.'):
            from .errors import RunError  # an ImportError would be replaced by one without a reason

            raise RunError(missing)
        sys.meta_path.insert(0, _HostCheck())
        return
    import wrapt  # not there where torch alone is

    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    after = wrapt.register_post_import_hook
    after(_leave_out_multimodal_models, 'mmpretrain.utils.dependency')
    after(_register_model_index, 'mmpretrain.apis.model')
    for part, subpackages in _FOLLOWERS.items():
        after(partial(_import, subpackages), part)


def find_model_index() -> Path | None:
    """Find ``model-index.yml``, beside which ``configs/`` lies.

    It is in ``.mim`` of an installed package (an editable one has links there), else in the source
    checkout around the package; None if only the package was copied.
    """
    for folder in (PACKAGE / '.mim', PACKAGE.parent):
        if (folder / 'model-index.yml').is_file():
            return (folder / 'model-index.yml').resolve()
    return None


def _import(subpackages: tuple[str, ...], _: ModuleType) -> None:
    for name in subpackages:
        import_module(f'.{name}', __package__)


def _missing_host() -> str | None:
    """Return what to install, if a part of the host cannot be imported."""
    missing = [name for name in ('mmengine', 'mmcv', 'mmpretrain') if not _is_found(name)]
    if not missing:
        return None
    return (
        f'mmpretrain_mldecoder runs on MMPretrain, and {", ".join(missing)} cannot be imported. '
        'Install one host stack, not both: pip install mmengine mmcv-lite mmpretrain, or the '
        'maintained forks, pip install onedl-mmengine onedl-mmcv onedl-mmpretrain. A full mmcv '
        'that is already installed replaces mmcv-lite. mmpretrain_mldecoder.layers needs torch only'
    )


def _is_found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:  # of a finder that refuses it
        return False


class _HostCheck(MetaPathFinder):
    """Raises an ``ImportError`` that says what to install, where the host is needed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None):
        package, _, subpackage = name.rpartition('.')
        if package == __package__ and subpackage in _NEED_HOST and (missing := _missing_host()):
            raise ImportError(missing)
        return None


def _caller_of_import() -> str:
    """Return the name of the module that imports this package."""
    frame, name = sys._getframe(), __name__
    while frame.f_back and name.startswith(('importlib', __package__)):
        frame = frame.f_back
        name = frame.f_globals.get('__name__', '')
    return name


# What BLIP and OFA take from transformers.modeling_utils is gone since then; import of all models
# fails, with a TypeError that does not say so. Their datasets are left out with them.
_TOO_NEW_FOR_MULTIMODAL = (4, 52)


def _leave_out_multimodal_models(dependency: ModuleType) -> None:
    """Have MMPretrain do as if its multimodal models' requirements were not installed."""
    if dependency.WITH_MULTIMODAL:
        transformers = metadata.version('transformers')
        if tuple(map(int, transformers.split('.')[:2])) >= _TOO_NEW_FOR_MULTIMODAL:
            dependency.WITH_MULTIMODAL = False
            warnings.warn(
                "MMPretrain's multimodal models (BLIP, OFA, ...) are left out: they need "
                f'transformers below 4.52, and {transformers} is installed.'
            )


@cache  # once a process
def _register_model_index(apis: ModuleType) -> None:
    """Make every row known by name, from the four small YAML files of the index (0.03 s).

    If a name is taken, by hand or by another package, a warning names both files.
    """
    hub = apis.ModelHub
    path = find_model_index()
    if path is None:
        return
    try:
        hub.register_model_index(path, config_prefix=path.parent)
    except ValueError as conflict:
        warnings.warn(
            f'{conflict} Importing mmpretrain_mldecoder registers its rows: '
            'ModelHub.register_model_index need not be called for them.'
        )
        return
    for name, row in hub._models_dict.items():
        # With None, get_model(name, pretrained=True) would warn, and return random weights.
        if row.weights is None and path.parent in Path(row.filepath).resolve().parents:
            row.weights = f'unpublished://{name}'
