"""Weights-only loading of checkpoints and of published weights, whatever their format.

torch loads weights only by default, and then refuses MMEngine's checkpoints, which also hold log
histories and numpy values. The reader here allows exactly this, on top of torch's own list:

- numpy arrays and scalars of plain types, under the module names of numpy 1 and 2;
- ``argparse.Namespace``, as timm's and torchvision's training scripts keep their arguments in one;
- MMEngine's ``HistoryBuffer``. Its pickle looks its four statistics up with ``getattr``, which
  would give a file any attribute of any allowed object; a table of the four answers in its place.

There is no unsafe fallback: the error names what is refused.
"""

import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from ..fileio.files import read_head
from ..fileio.terminal import one_line
from .file_kinds import IN_PARTS, check_is_torch_archive, check_is_weights, format_of, missing_file
from .restricted_pickle import read_pdparams


def load_weights_only(path: str | Path, map_location: Any = None) -> Any:
    """Load a file of ``torch.save``, a local one, without running any code in it.

    ``map_location`` is that of ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, truncated, a web page or otherwise not a checkpoint, or if it
            holds anything but tensors, containers, plain values, numpy values, log histories and
            arguments of a command.
    """
    path = Path(path).expanduser()
    _check_is_checkpoint(path)
    with torch.serialization.safe_globals(_allow_list()):
        try:
            if path.suffix != '.safetensors':  # which torch.load takes for what it says
                return torch.load(path, map_location=map_location, weights_only=True)
            with path.open('rb') as file:
                return torch.load(file, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            raise ValueError(f'{path} {_refusal(path, error)}') from None
        except Exception as error:  # damaged bytes raise anything
            raise ValueError(
                f'{path} cannot be read, it may be damaged: {type(error).__name__} {error}'
            ) from error


def read_weights(path: str | Path, map_location: Any = 'cpu') -> Any:
    """Read weights of PaddlePaddle, ``.safetensors``, or a file of ``torch.save``.

    The content tells the format, whatever the ending. Nothing in the file is run. Names and shapes
    stay as they are in it: arrays or tensors by name, or a dict around them. ``map_location`` is
    that of ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a ``.safetensors`` is asked for and the package is not installed.
        ValueError: If the file is damaged, or of another format, which the error names.
    """
    path = Path(path).expanduser()
    kind = format_of(path, _checked_head(path))
    if kind == 'safetensors':
        return _read_safetensors(path)
    if kind == 'torch':
        return load_weights_only(path, map_location)
    try:
        return read_pdparams(path)
    except ValueError as error:
        if path.suffix in ('.pdparams', '.pdema'):
            raise
        raise ValueError(
            f'{path} is a pickle that torch.save did not write, and holds no weights by name '
            f'(predictions, or a whole object?): {error}'
        ) from error


def classes_of(checkpoint: object) -> list | None:
    """Return the class names in ``meta.dataset_meta.classes``, in the order of scores, or None.

    Older checkpoints of MMEngine and MMClassification spell it ``CLASSES``, the latter in ``meta``.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, Mapping) else None
    for part in (meta.get('dataset_meta'), meta) if isinstance(meta, Mapping) else ():
        for key in ('classes', 'CLASSES'):
            names = part.get(key) if isinstance(part, Mapping) else None
            if isinstance(names, list | tuple) and names:
                return list(names)
    return None


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
        Namespace,
        (_look_up_statistic, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in '?bBhHiIlLqQefdFDSU'},
        *((reconstruct, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),
        *((scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
    ]


def _checked_head(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(missing_file(path))
    head = read_head(path, 'a checkpoint')
    check_is_weights(path, head)
    return head


def _check_is_checkpoint(path: Path) -> None:
    head = _checked_head(path)
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
    check_is_torch_archive(path, [part.filename for part in parts])
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
    if any(name.startswith('torch.distributed.') for name in names):
        return f'holds {names[0]}, {IN_PARTS}'
    if any(name.startswith(('torch.nn.modules.', 'torch.fx.')) for name in names):
        hint = (
            'It is a whole module, pickled with its code: save its weights alone with the program '
            'that wrote it, torch.save(model.state_dict(), "weights.pth")'
        )
        return f'holds {", ".join(names[:3])}, ..., which could run code and is not loaded. {hint}'
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
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f'{path} is not a safetensors file, or is truncated: {one_line(error)}. Download it '
            'again.'
        ) from error
