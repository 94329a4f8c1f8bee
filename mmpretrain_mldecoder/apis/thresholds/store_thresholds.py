"""Put thresholds into a checkpoint, of which all else stays as it is."""

import os
from pathlib import Path

import torch

from ...atomic_write import atomic_write
from ...engine.checkpoints.checkpoint import load_weights_only


def check_storable(checkpoint: str | os.PathLike, out: str | os.PathLike | None = None) -> None:
    """Raise if :func:`store_thresholds` could not do its work; ask before the long part.

    Args:
        checkpoint (str | PathLike): A checkpoint of MMEngine's on this machine.
        out (str | PathLike, optional): The file to write. Defaults to None: ``checkpoint`` itself.

    Raises:
        FileNotFoundError: If the checkpoint, or the folder of ``out``, is not there.
        PermissionError: If the file or its folder may not be written.
        ValueError: If the checkpoint is no file of MMEngine's.
    """
    if '://' in os.fspath(checkpoint):
        raise ValueError(f'{checkpoint} is an address: download the file to store thresholds in it')
    _read(Path(checkpoint))
    target = Path(out or checkpoint).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f'no folder {target.parent} to write {target.name} to')
    if target.is_dir():
        raise ValueError(f'{target} is a folder: name the file to write')
    for path in (target.parent, target):
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(f'{path} is read-only: name another file to write with --out')


def store_thresholds(
    checkpoint: str | os.PathLike, thresholds: dict, out: str | os.PathLike | None = None
) -> Path:
    """Write the checkpoint with ``meta['thresholds']``; older thresholds are replaced.

    The file is written under a temporary name and then renamed: it is the old one or the new one.
    A link stays a link to the file that is replaced.

    Args:
        checkpoint (str | PathLike): A checkpoint of MMEngine's on this machine.
        thresholds (dict): Plain values only: what :func:`stored_thresholds` reads.
        out (str | PathLike, optional): The file to write. Defaults to None: ``checkpoint`` itself.

    Returns:
        Path: The file that was written.

    Raises:
        What :func:`check_storable` raises.
    """
    check_storable(checkpoint, out)
    content = _read(Path(checkpoint))
    content['meta']['thresholds'] = thresholds
    target = Path(out or checkpoint).resolve()
    with atomic_write(target) as path:
        torch.save(content, path)
    return target


def _read(path: Path) -> dict:
    """Read the whole checkpoint, tensors where they are saved: nothing may move to a GPU."""
    content = load_weights_only(path, map_location='cpu')
    if (
        not isinstance(content, dict)
        or not isinstance(content.get('state_dict'), dict)
        or not isinstance(content.get('meta'), dict)
    ):
        raise ValueError(
            f'{path} is no checkpoint of a training: it has no state_dict and meta, which the '
            'thresholds are stored in'
        )
    return content
