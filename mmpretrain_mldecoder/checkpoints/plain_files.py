"""Published weights as plain files, local or at an address, wherever a checkpoint can stand.

Imported, it registers two loaders with MMEngine in the place of its own, which read weights-only
(:mod:`mmpretrain_mldecoder.checkpoints.load`). This changes what *every* caller of
MMEngine in the process gets for a file of PaddleClas, of the authors of ML-Decoder, or of a whole
ResNet classifier of timm or torchvision: the names of a whole ``ImageClassifier`` (``backbone.*``,
``head.*``) instead of the file's own. All other files, MMEngine's and MMPretrain's among them, are
handed out as they are; to tell, only the names in the file are looked at. Names that stand for
addresses, such as ``torchvision://resnet50``, keep their loaders too.
"""

from collections.abc import Mapping
from pathlib import Path

from mmengine.runner import CheckpointLoader

from .conversion import convert, recognise, to_checkpoint
from .download import download_once
from .load import load_weights_only, read_weights

# Formats that no checkpoint of MMEngine has.
_FOREIGN = ('.pdparams', '.pdema', '.safetensors')


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location=None):
    """Read a local file, and convert it if it holds published weights.

    Args:
        filename (str): ``.pdparams``, ``.pdema`` and ``.safetensors`` are converted always, all
            other files if :func:`~.conversion.recognise` knows their names.
        map_location: As in ``torch.load``; converted weights are on the CPU. Defaults to None.

    Returns:
        A checkpoint as of :func:`~.conversion.to_checkpoint`, or what the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If safetensors is not installed.
        ValueError: If the file is damaged or not allowed, or cannot be converted.
    """
    return _load(filename, filename, map_location)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location=None):
    """Download a file once, then do as :func:`load_from_local`.

    Args:
        filename (str): The address.
        map_location: As in :func:`load_from_local`.

    Raises:
        ConnectionError, OSError: If it cannot be downloaded or kept.
        ImportError, ValueError: As :func:`load_from_local`.
    """
    return _load(download_once(filename), filename, map_location)


def _load(path: str | Path, source: str, map_location):
    if Path(path).suffix in _FOREIGN:
        return read_converted(path, source)
    checkpoint = load_weights_only(path, map_location)
    if not isinstance(checkpoint, Mapping):
        return checkpoint
    _check_parts(checkpoint, source)
    return checkpoint if recognise(checkpoint) is None else _convert(checkpoint, source)


def _check_parts(checkpoint: Mapping, source: str) -> None:
    """Raise for what MMEngine, and all that asks a checkpoint for its classes, would stumble on."""
    weights, meta = checkpoint.get('state_dict', checkpoint), checkpoint.get('meta') or {}
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
        raise ValueError(f'{source} is damaged: its state_dict is no dict of weights by name')
    if not isinstance(meta, Mapping) or not isinstance(meta.get('dataset_meta') or {}, Mapping):
        raise ValueError(f'{source} is damaged: its meta, or dataset_meta in it, is no dict')
    logs = checkpoint.get('message_hub') or {}
    if not isinstance(logs, Mapping) or not isinstance(logs.get('log_scalars') or {}, Mapping):
        raise ValueError(f'{source} is damaged: its message_hub, or log_scalars in it, is no dict')


def read_converted(path: str | Path, source: str) -> dict:
    """Read a file of published weights and convert it.

    Args:
        path (str | Path): A local file; see :func:`~.read.read_weights`.
        source (str): What to call it in errors and in ``meta``.

    Raises:
        FileNotFoundError, ImportError, ValueError: As :func:`load_from_local`.
    """
    return _convert(read_weights(path), source)


def _convert(checkpoint: Mapping, source: str) -> dict:
    try:
        return to_checkpoint(convert(checkpoint), str(source))
    except ValueError as error:
        raise ValueError(f'{source} cannot be converted: {error}') from error
