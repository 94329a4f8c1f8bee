"""Weights-only loaders for the checkpoints that MMEngine knows by name.

MMEngine's own loaders of these schemes download with a function that unpickles any object. The
names and addresses stay MMEngine's; the reading is that of :mod:`.checkpoint`. Imported, it
registers ``torchvision://``, ``modelzoo://``, ``open-mmlab://``, ``openmmlab://``, ``mmcls://``.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from .download import download_once
from .load import load_weights_only


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


@CheckpointLoader.register_scheme(
    prefixes=(r'(\S+\:)?s3://', r'(\S+\:)?petrel://'),  # MMEngine's keys, which these replace
    force=True,
)
def load_from_ceph(filename: str, map_location=None, backend: str = 'petrel'):
    """Read a file of a Ceph store, such as ``s3://bucket/checkpoint.pth``.

    Args:
        filename (str): The address.
        map_location: As in ``torch.load``. Defaults to None.
        backend (str): Name of MMEngine's file backend. Defaults to ``'petrel'``.

    Raises:
        ImportError: If the store's client is not installed.
        ValueError: If the file is damaged or not allowed.
    """
    content = get_file_backend(filename, backend_args=dict(backend=backend)).get(filename)
    with TemporaryDirectory() as folder:
        path = Path(folder, 'checkpoint')
        path.write_bytes(content)
        return load_weights_only(path, map_location)


@CheckpointLoader.register_scheme(prefixes='pavi://', force=True)
def load_from_pavi(filename: str, map_location=None):
    """Read a file of the model cloud of Pavi.

    Args:
        filename (str): ``pavi://`` and the name of a model.
        map_location: As in ``torch.load``. Defaults to None.

    Raises:
        ImportError: If the ``pavi`` package is not installed.
        ValueError: If the file is damaged or not allowed.
    """
    try:
        from pavi import modelcloud
    except ImportError as error:
        raise ImportError(f'{filename} needs the pavi package of the model cloud') from error
    model = modelcloud.get(filename.removeprefix('pavi://'))
    with TemporaryDirectory() as folder:
        path = Path(folder, 'checkpoint')  # not the name that the cloud gives
        model.download(str(path))
        return load_weights_only(path, map_location)
