"""Weights-only loaders for the stores of files that MMEngine knows by an address.

MMEngine's own loaders of these addresses leave it to torch's version whether a file may run code,
and the fork's run it if torch refuses. The fetching stays MMEngine's; the reading is that of
:mod:`.checkpoint`. Imported, it registers ``s3://``, ``petrel://`` (with a prefix of the cluster,
such as ``main:s3://``, too) and ``pavi://``.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader

from .checkpoint import load_weights_only


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
