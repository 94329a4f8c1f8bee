"""Registration of everything in the package: what importing it changes in the process.

- MMPretrain's registries get our datasets, models, metrics, hooks, ..., and MMEngine's ``RUNNERS``
  gets ``PortableRunner``.
- ``mmpretrain.list_models`` and ``get_model`` know the rows of ``configs/`` by name.
- MMEngine's ``CheckpointLoader`` gets ``paddleclas://``, ``timm://`` and ``miil://``. Its own
  loaders, of files, ``http://``, ``https://``, ``torchvision://``, ``modelzoo://``,
  ``open-mmlab://``, ``openmmlab://``, ``mmcls://``, ``s3://``, ``petrel://`` and ``pavi://``, are
  replaced by ones that load weights-only; ``checkpoints/loaders.py`` says why none can stay.
- MMEngine's initializer ``Pretrained`` is replaced by one that is strict with published weights.
- mmcv-lite's warning about a missing compiled op is filtered: nothing here uses compiled ops.

What belongs to a part of the host waits until that part is imported: the host's parts take most of
a second to import, and MMEngine's registries import them when a name is first looked up.
"""

import warnings
from functools import cache, partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import wrapt

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
SUBPACKAGES = tuple(dict.fromkeys(name for names in _FOLLOWERS.values() for name in names))


def register() -> None:
    """Check the host stack (``ImportError``), then arrange for what the module docstring lists."""
    _check_host()
    _register_model_index()
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    for part, subpackages in _FOLLOWERS.items():
        wrapt.register_post_import_hook(partial(_import, subpackages), part)


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


def _check_host() -> None:
    missing = [name for name in ('mmengine', 'mmcv', 'mmpretrain') if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'mmpretrain_mldecoder runs on MMPretrain, and {", ".join(missing)} cannot be '
            "imported. Install one host stack, not both: pip install 'mmpretrain_mldecoder[lite]' "
            "(mmengine, mmcv-lite, mmpretrain) or pip install 'mmpretrain_mldecoder[onedl]' "
            '(the maintained onedl-* forks). A full mmcv that is already installed replaces '
            'mmcv-lite.'
        )
    # Where both are there, MMPretrain imports multimodal models, whose bases transformers 5 lacks.
    transformers = _version('transformers')
    if transformers and int(transformers.partition('.')[0]) >= 5 and _version('pycocotools'):
        warnings.warn(
            f'transformers {transformers} and pycocotools are both installed: importing '
            'mmpretrain.models then fails with a TypeError, because its multimodal models need '
            'transformers below 5. Uninstall one of the two; nothing here needs transformers, and '
            'pycocotools is only for COCOMultiLabel.coco.'
        )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache  # once a process
def _register_model_index() -> None:
    """Make every row known by name, from the four small YAML files of the index (0.03 s).

    If a name is taken, by hand or by another package, a warning names both files.
    """
    from mmpretrain.apis.model import ModelHub

    path = find_model_index()
    if path is None:
        return
    try:
        ModelHub.register_model_index(path, config_prefix=path.parent)
    except ValueError as conflict:
        warnings.warn(
            f'{conflict} Importing mmpretrain_mldecoder registers its rows: '
            'ModelHub.register_model_index need not be called for them.'
        )
