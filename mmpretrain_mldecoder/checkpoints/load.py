"""Read checkpoints weights-only.

``torch.load`` of an untrusted file may run code, so torch reads weights only unless told otherwise,
and then refuses MMEngine's checkpoints, which also hold log histories and numpy values. The reader
here allows exactly these. Every path of MMEngine's goes through it (``resume``, ``load_from``,
``init_cfg=dict(type='Pretrained')``, MMPretrain's own tools and APIs), by the loaders that
:mod:`.model_zoo` and :mod:`mmpretrain_mldecoder.checkpoints` register. There is no unsafe fallback:
what is refused raises, and the error names it.

torch's default list already has tensors, containers and plain values. Added to it:

- numpy arrays and scalars of plain types, under the module names of numpy 1 and 2;
- MMEngine's ``HistoryBuffer``. Its pickle looks its four statistics up with ``getattr``, which
  would give a file any attribute of any allowed object; a table of the four answers in its place.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from ..fileio.files import read_head
from .restricted_pickle import read_pdparams

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


def is_archive(path: str | Path) -> bool:
    """Whether a file is a whole archive, as ``torch.save`` writes it."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # of a damaged number of disks
        return False


def _check_looks_like_checkpoint(path: Path) -> None:
    head = read_head(path, 'checkpoint')
    if head.startswith(b'PK') and not is_archive(path):
        raise ValueError(f'{path} is truncated: it begins as a checkpoint and ends too early.')
    if not head.startswith((b'PK', b'\x80')):
        raise ValueError(f'{path} is not a checkpoint: torch.save did not write it.')
    if head.startswith(b'PK'):
        _check_holds_what_it_unpacks_to(path)


def _check_holds_what_it_unpacks_to(path: Path) -> None:
    """Refuse an archive of a few kilobytes that would fill the memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f'{path} cannot be read, it may be damaged: {error}') from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError(
            f'{path} is not a checkpoint of torch.save, which never packs: its parts are larger '
            'than the file. Unpacked, they could fill the memory.'
        )


def _refused(path: Path, error: pickle.UnpicklingError) -> list[str]:
    """Name the globals that the weights-only load does not allow."""
    names = []
    if is_archive(path):
        # It does not know the pickles that torch never writes, and damaged ones raise anything.
        with suppress(Exception):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
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


def read_weights(path: str | Path) -> Mapping:
    """Read ``.pdparams`` and ``.pdema`` (Paddle), ``.safetensors``, or a file of ``torch.save``.

    Nothing in the file is run. Names and shapes stay as they are in it.

    Args:
        path (str | Path): A local file; ``~`` is expanded. Every other ending than those named is
            read as a file of ``torch.save``.

    Returns:
        Mapping: What the file holds, on the CPU: arrays or tensors by name, or a dict around them.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a ``.safetensors`` is asked for and the package is not installed.
        ValueError: If the file is damaged, of another format, or holds anything but weights.
    """
    path = Path(path).expanduser()
    if path.suffix in ('.pdparams', '.pdema'):
        return read_pdparams(path)
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    content = load_weights_only(path, map_location='cpu')
    if not isinstance(content, Mapping):
        raise ValueError(f'{path} holds a {type(content).__name__}, not a dict of weights.')
    return content


def _read_safetensors(path: Path) -> Mapping:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ImportError(
            f'{path} needs the safetensors package: pip install safetensors'
        ) from error
    read_head(path, 'weights')
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f'{path} is not a safetensors file, or is truncated: {error}. Download it again.'
        ) from error
