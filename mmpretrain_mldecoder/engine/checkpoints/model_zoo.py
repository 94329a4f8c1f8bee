"""Weights-only loaders for the checkpoints that MMEngine knows by name.

MMEngine's own loaders of these schemes download with a function that unpickles any object. The
names and addresses stay MMEngine's; the reading is that of :mod:`.checkpoint`. Imported, it
registers ``torchvision://``, ``modelzoo://``, ``open-mmlab://``, ``openmmlab://``, ``mmcls://``.
"""

from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from .checkpoint import load_weights_only
from .download import download_once


def _load_by_name(filename: str, addresses: dict[str, str], map_location) -> dict:
    scheme, _, name = filename.partition('://')
    if name not in addresses:
        raise ValueError(f'{filename}: {scheme}:// has no {name!r}, but {len(addresses)} others')
    return load_weights_only(download_once(addresses[name]), map_location)


@CheckpointLoader.register_scheme(prefixes=('modelzoo://', 'torchvision://'), force=True)
def load_from_torchvision(filename: str, map_location=None) -> dict:
    """Load ``torchvision://resnet50``, ``torchvision://resnet50.imagenet1k_v2`` and the like."""
    return _load_by_name(filename, get_torchvision_models(), map_location)


@CheckpointLoader.register_scheme(prefixes=('open-mmlab://', 'openmmlab://'), force=True)
def load_from_openmmlab(filename: str, map_location=None) -> dict:
    """Load a name of MMEngine's list, or of ``open_mmlab.json`` in MMEngine's cache folder."""
    scheme, _, name = filename.partition('://')
    name = get_deprecated_model_names().get(name, name)
    return _load_by_name(f'{scheme}://{name}', get_external_models(), map_location)


@CheckpointLoader.register_scheme(prefixes='mmcls://', force=True)
def load_from_mmcls(filename: str, map_location=None) -> dict:
    """Load the backbone of a classifier, its names without ``backbone.``."""
    checkpoint = _load_by_name(filename, get_mmcls_models(), map_location)
    state_dict = checkpoint.get('state_dict', checkpoint)
    prefix = 'backbone.'
    backbone = {
        name.removeprefix(prefix): value
        for name, value in state_dict.items()
        if name.startswith(prefix)
    }
    return dict(state_dict=backbone)
