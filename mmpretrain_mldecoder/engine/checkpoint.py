"""Read checkpoints weights-only, by registering two loaders with MMEngine on import.

``torch.load`` of an untrusted file may run code, so torch reads weights only unless told otherwise,
and then refuses MMEngine's checkpoints, which also hold log histories and numpy values. The loaders
here allow exactly these. Every path of MMEngine's goes through them: ``resume``, ``load_from``,
``init_cfg=dict(type='Pretrained')``, and MMPretrain's own tools and APIs. There is no unsafe
fallback: what is refused raises, and the error names it.

torch's default list already has tensors, containers and plain values. Added to it:

- numpy arrays and scalars of plain types, under the module names of numpy 1 and 2;
- MMEngine's ``HistoryBuffer``. Its pickle looks its four statistics up with ``getattr``, which
  would give a file any attribute of any allowed object; a table of the four answers in its place.
"""

import pickle
import re
import zipfile
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from .download import download_folder, find_or_download

_STATISTICS = {name: getattr(HistoryBuffer, name) for name in ('min', 'max', 'current', 'mean')}

_WAYS_OUT = {
    'OneCycle': (
        "The schedule state of MMEngine's OneCycleLR holds a function: train with PlainOneCycleLR."
    ),
}


def _look_up_statistic(owner: type, name: str):
    """Answer for the ``getattr`` in a pickled ``HistoryBuffer``, and for nothing else."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f'GLOBAL getattr({owner}, {name!r}) was not an allowed call')
    return _STATISTICS[name]


def _allow_list() -> list:
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    plain_types = [np.dtype(code) for code in '?bBhHiIlLqQefdFDSU']
    return [
        HistoryBuffer,
        (_look_up_statistic, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(plain_type) for plain_type in plain_types},
        *((reconstruct, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),
        *((scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
    ]


def _check_looks_like_checkpoint(path: Path) -> None:
    with path.open('rb') as file:
        head = file.read(256).lstrip()
    if not head:
        raise ValueError(f'{path} is empty. Download or save it again.')
    if head.lower().startswith((b'<!doctype', b'<html', b'<?xml')):
        raise ValueError(
            f'{path} is a web page, not a checkpoint: the server answered with a page instead of '
            'the file. Delete it, and download the file by hand.'
        )
    if head.startswith(b'PK') and not zipfile.is_zipfile(path):
        raise ValueError(f'{path} is truncated: it begins as a checkpoint and ends too early.')
    if not head.startswith((b'PK', b'\x80')):
        raise ValueError(f'{path} is not a checkpoint: torch.save did not write it.')


def _refused(path: Path, error: pickle.UnpicklingError) -> list[str]:
    """Name the globals that the weights-only load does not allow."""
    if zipfile.is_zipfile(path):
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    else:
        names = []
    return sorted(names) or re.findall(r'GLOBAL (.+?) was not an allowed', str(error))


def _reason(error: pickle.UnpicklingError) -> str:
    """Leave out torch's advice to load the file with its code."""
    return str(error).rpartition('WeightsUnpickler error:')[2].strip().partition('\n')[0]


def load_weights_only(path: str | Path, map_location=None):
    """Read a file of ``torch.save`` without running any code in it.

    Args:
        path (str | Path): A local file; ``~`` is expanded.
        map_location: As in ``torch.load``. Defaults to None.

    Returns:
        What was saved; for MMEngine's checkpoints a dict with ``state_dict``, ``meta``, ...

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, truncated, a web page or otherwise not a checkpoint, or if it
            holds anything but tensors, containers, plain values, numpy values and log histories.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'no checkpoint at {path}' + (' (a folder)' if path.is_dir() else '')
        )
    _check_looks_like_checkpoint(path)
    with torch.serialization.safe_globals(_allow_list()):
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            names = _refused(path, error)
            if not names:
                raise ValueError(f'{path} is damaged or not allowed: {_reason(error)}') from None
            ways_out = [way for part, way in _WAYS_OUT.items() if part in ' '.join(names)]
            raise ValueError(
                f'{path} holds {", ".join(names)}, which could run code and is not loaded. '
                + ''.join(f'{way} ' for way in ways_out)
                + "To use its weights, save its 'state_dict' alone with the program that wrote it."
            ) from None
        except Exception as error:  # damaged bytes raise anything
            raise ValueError(
                f'{path} cannot be read, it may be damaged: {type(error).__name__} {error}'
            ) from error


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location=None):
    """Read a local checkpoint; see :func:`load_weights_only`."""
    return load_weights_only(filename, map_location)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location=None):
    """Download a checkpoint once, then read it; see :func:`load_weights_only`.

    Args:
        filename (str): The address.
        map_location: As in ``torch.load``. Defaults to None.

    Raises:
        ConnectionError, OSError: If it cannot be downloaded or kept; see :func:`download_once`.
        ValueError: As :func:`load_weights_only`.
    """
    return load_weights_only(download_once(filename), map_location)


def download_once(url: str) -> Path:
    """Return the file of an address, downloaded at the first time.

    It is kept under its own name in :func:`~.download.download_folder`. One process of each machine
    downloads.

    Args:
        url (str): The address, with or without a query.

    Raises:
        ConnectionError, OSError: If it cannot be downloaded or kept; it says where to put the file
            by hand.
    """
    path = download_folder() / Path(urlparse(url).path).name
    return find_or_download(lambda: path if path.is_file() else None, url, path)
