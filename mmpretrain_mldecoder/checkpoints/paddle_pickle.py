"""Read PaddlePaddle's ``.pdparams`` without PaddlePaddle and without running what they say.

``paddle.save`` pickles numpy arrays, so ``paddle.load`` would run any code that a file names. Here
every name that a file asks for is answered by a stand-in of this module, which takes numbers and
bytes only; any other name is refused. The arrays are built afterwards.
"""

import pickle
import pickletools
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..fileio.files import read_head

_NAME_TABLE = 'StructuredToParameterName@@'
_SPLIT_ARRAYS = 'UnpackBigParamInfor@@'  # spelled so by Paddle

_HOW_TO_SAVE = 'Weights are saved by paddle.save(model.state_dict(), path).'


class _Refused(Exception):
    """The file is whole, but asks for or holds something else than arrays."""

    @classmethod
    def name(cls, name: str) -> '_Refused':
        return cls(f'asks for {name}, which arrays do not need and which could run code')


class _DType:
    """Stands in for ``numpy.dtype`` and takes plain numbers only."""

    def __init__(self, code: str, align: bool = False, copy: bool = False):
        if not re.fullmatch(r'b1|[iu][1248]|f[248]', code):
            raise _Refused.name(f'numpy.dtype({code!r:.80})')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple):
        version, byte_order, *details = state
        if version != 3 or byte_order not in '<>|=' or details[:3] != [None, None, None]:
            raise ValueError('a dtype with fields')
        self.dtype = self.dtype.newbyteorder(byte_order)


class _Array:
    """Stands in for ``numpy.ndarray`` and keeps its bytes."""

    def __setstate__(self, state: tuple):
        _, self.shape, dtype, self.is_fortran, self.data = state
        self.dtype = dtype.dtype

    def build(self) -> np.ndarray:
        data = self.data.encode('latin1') if isinstance(self.data, str) else self.data
        values = np.frombuffer(data, self.dtype)
        values = values.reshape(self.shape, order='F' if self.is_fortran else 'C')
        return np.array(values, self.dtype.newbyteorder('='), order='C')


def _reconstruct(kind: type, shape: tuple, code: bytes) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """Give the bytes that protocol 2 has to write as text."""
    if encoding != 'latin1':
        raise _Refused.name(f'_codecs.encode to {encoding!r:.80}')
    return text.encode('latin1')


def _no_bytes() -> bytes:
    """Give the bytes of an array without elements, which protocol 2 writes as a call."""
    return b''


_STAND_INS = {
    'numpy.ndarray': _Array,
    'numpy.dtype': _DType,
    'numpy.core.multiarray._reconstruct': _reconstruct,
    'numpy._core.multiarray._reconstruct': _reconstruct,
    '_codecs.encode': _encode,
    '__builtin__.bytes': _no_bytes,
    'builtins.tuple': tuple,
    '__builtin__.tuple': tuple,
    'collections.OrderedDict': dict,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        try:
            return _STAND_INS[f'{module}.{name}']
        except KeyError:
            raise _Refused.name(f'{module}.{name}') from None


def read_pdparams(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays in a ``.pdparams`` file of ``paddle.save``.

    Takes what Paddle 2.0 to 3.3 writes for a state dict, at pickle protocols 2, 3 and 4: arrays or
    pairs of a name and an array; arrays above 1 GiB that protocols 2 and 3 cut into slices are
    joined. Paddle stores bfloat16 as 16-bit unsigned integers; they come back as float32.

    Args:
        path (str | Path): A local file; ``~`` is expanded.

    Returns:
        dict[str, np.ndarray]: Name to array, in the order of the file. The arrays are contiguous,
        writable and in the byte order of the machine.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, truncated, a web page or otherwise not of ``paddle.save``, if it
            holds anything but a dict of arrays, or if it asks for any other function or class,
            which the error names. Nothing in the file is run.
    """
    path = Path(path).expanduser()
    _check_looks_like_pickle(path)
    with path.open('rb') as file:
        try:
            _check_opcodes(file, path.stat().st_size)
            content = _ArrayUnpickler(file, encoding='latin1').load()
            return _state_dict(content)
        except _Refused as error:
            raise ValueError(f'{path} {error}, so it is not read. {_HOW_TO_SAVE}') from None
        except Exception as error:  # damaged bytes raise anything
            raise ValueError(
                f'{path} cannot be read as weights of PaddlePaddle, it may be truncated or damaged '
                f'({type(error).__name__}: {str(error)[:200]}). Download or save it again.'
            ) from error


def _check_looks_like_pickle(path: Path) -> None:
    head = read_head(path, 'weights')
    if head.startswith(b'PK'):
        raise ValueError(
            f'{path} is a zip archive, as torch.save writes it, not a file of PaddlePaddle. If it '
            'holds weights of PyTorch, name it .pth.'
        )
    if head[0] != 0x80 or head[1:2] not in (b'\x02', b'\x03', b'\x04'):
        raise ValueError(
            f'{path} is not a file of paddle.save: it begins with {head[:8]!r}. {_HOW_TO_SAVE}'
        )


def _check_opcodes(file: BinaryIO, size: int) -> None:
    """Walk to the end of the pickle before anything is built from it.

    Ends early in a truncated file, and finds the one opcode that can take any amount of memory:
    a memo index, for which the unpickler makes room at once.
    """
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name in ('PUT', 'LONG_BINPUT') and argument > size:
            raise ValueError(f'memo index {argument} at byte {position}')
    file.seek(0)


def _state_dict(content: object) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        raise _Refused(f'holds a {type(content).__name__}, not a dict of arrays')
    content.pop(_NAME_TABLE, None)
    splits = content.pop(_SPLIT_ARRAYS, {})
    arrays = {name: _build(name, value) for name, value in content.items()}
    for name, split in splits.items():
        slices = [arrays.pop(part) for part in split['slices']]
        arrays[name] = np.concatenate(slices).reshape(split['OriginShape'])
    return arrays


def _build(name: object, value: object) -> np.ndarray:
    if isinstance(value, tuple) and len(value) == 2:  # Paddle's own name of the parameter
        value = value[1]
    if not isinstance(name, str):
        raise _Refused(f'names an array {name!r:.80}, not by a text')
    if not isinstance(value, _Array):
        raise _Refused(f'holds a {type(value).__name__} as {name!r:.80}, not an array')
    array = value.build()
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array
