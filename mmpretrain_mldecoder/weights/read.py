"""Read a file of weights in any of the formats that are published."""

from collections.abc import Mapping
from pathlib import Path

from ..engine.checkpoints.checkpoint import load_weights_only
from ..file_head import read_head
from .paddle_pickle import read_pdparams


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
