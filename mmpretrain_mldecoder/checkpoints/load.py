"""Weights-only loading of checkpoints and of published weights, whatever their format.

torch loads weights only by default, and then refuses MMEngine's checkpoints, which also hold log
histories and numpy values. The reader here allows exactly these, on top of torch's own list:

- numpy arrays and scalars of plain types, under the module names of numpy 1 and 2;
- MMEngine's ``HistoryBuffer``. Its pickle looks its four statistics up with ``getattr``, which
  would give a file any attribute of any allowed object; a table of the four answers in its place.

There is no unsafe fallback: the error names what is refused.
"""

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from ..fileio.files import read_head
from ..fileio.terminal import one_line
from .restricted_pickle import read_pdparams


def load_weights_only(path: str | Path, map_location: Any = None) -> Any:
    """Load a file of ``torch.save`` without running any code in it.

    Args:
        path (str | Path): A local file; ``~`` is expanded.
        map_location: As in ``torch.load``. Defaults to None.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, truncated, a web page or otherwise not a checkpoint, or if it
            holds anything but tensors, containers, plain values, numpy values and log histories.
    """
    path = Path(path).expanduser()
    _check_is_checkpoint(path)
    with torch.serialization.safe_globals(_allow_list()):
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            raise ValueError(f'{path} {_refusal(path, error)}') from None
        except Exception as error:  # damaged bytes raise anything
            raise ValueError(
                f'{path} cannot be read, it may be damaged: {type(error).__name__} {error}'
            ) from error


def read_weights(path: str | Path) -> Mapping:
    """Read ``.pdparams`` and ``.pdema`` (Paddle), ``.safetensors``, or a file of ``torch.save``.

    Nothing in the file is run.

    Args:
        path (str | Path): A local file; ``~`` is expanded. The ending tells the format.

    Returns:
        Mapping: Arrays or tensors by name, on the CPU, or a dict around them.

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


def classes_of(checkpoint: object) -> list | None:
    """Return the class names in ``meta.dataset_meta.classes``, in the order of scores, or None."""
    for key in ('meta', 'dataset_meta', 'classes'):
        checkpoint = checkpoint.get(key) if isinstance(checkpoint, Mapping) else None
    return list(checkpoint) if isinstance(checkpoint, list | tuple) and checkpoint else None


def is_archive(path: str | Path) -> bool:
    """Whether a file is a complete archive, as ``torch.save`` writes it."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # of a damaged number of disks
        return False


_STATISTICS = {name: getattr(HistoryBuffer, name) for name in ('min', 'max', 'current', 'mean')}


def _look_up_statistic(owner: type, name: str) -> Callable:
    """Answer for the ``getattr`` in a pickled ``HistoryBuffer``, and for nothing else."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f'GLOBAL getattr({owner}, {name!r}) was not an allowed call')
    return _STATISTICS[name]


def _allow_list() -> list:
    reconstruct, scalar = (value.__reduce__()[0] for value in (np.empty(0), np.float64(0)))
    return [
        HistoryBuffer,
        (_look_up_statistic, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in '?bBhHiIlLqQefdFDSU'},
        *((reconstruct, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),
        *((scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
    ]


def _check_is_checkpoint(path: Path) -> None:
    head = read_head(path, 'checkpoint')
    if head.startswith(b'\x80'):  # before torch 1.6 files were no archives
        return
    if not head.startswith(b'PK'):
        raise ValueError(f'{path} is not a checkpoint: torch.save did not write it.')
    if not is_archive(path):
        raise ValueError(f'{path} is truncated: it begins as a checkpoint and ends too early.')
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f'{path} cannot be read, it may be damaged: {error}') from error
    is_packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if is_packed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise ValueError(
            f'{path} is not a checkpoint of torch.save, which never packs: its parts are larger '
            'than the file. Unpacked, they could fill the memory.'
        )


def _refusal(path: Path, error: pickle.UnpicklingError) -> str:
    """Name the globals that the weights-only load does not allow, without torch's advice."""
    names = []
    if is_archive(path):
        # It does not know the pickles that torch never writes, and damaged ones raise anything.
        with suppress(Exception):
            names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    names = names or re.findall(r'GLOBAL (.+?) was not an allowed', str(error))
    if not names:
        reason = str(error).rpartition('WeightsUnpickler error:')[2].strip().partition('\n')[0]
        return f'is damaged or not allowed: {reason}'
    hint = "To use its weights, save its 'state_dict' alone with the program that wrote it."
    if any('OneCycle' in name for name in names):
        hint = (
            "The schedule state of MMEngine's OneCycleLR holds a function: train with "
            f'PlainOneCycleLR. {hint}'
        )
    return f'holds {", ".join(names)}, which could run code and is not loaded. {hint}'


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
            f'{path} is not a safetensors file, or is truncated: {one_line(error)}. Download it '
            'again.'
        ) from error
