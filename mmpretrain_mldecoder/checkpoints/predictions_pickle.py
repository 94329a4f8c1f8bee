"""Read the predictions of ``tools/test.py --out`` without running what the file says.

A pickle may name any function, and ``pickle.load`` calls it. Here each name that a dump of samples
needs is answered by a function of this module, which checks what it is given, or by a type that
only holds values; any other name is refused, and nothing of the file has run by then.
"""

import io
import math
import pickle
import re
from pathlib import Path

import numpy as np
import torch

from ..fileio.files import read_head

_HOW_TO_DUMP = 'Predictions are written by tools/test.py CONFIG CHECKPOINT --out predictions.pkl'


class _Refused(Exception):
    """The file asks for something that samples do not need."""


def _storage(data: bytes) -> torch.storage.TypedStorage:
    if data.startswith(b'PK'):  # a tensor's own pickle has no archive, which could unpack to more
        raise ValueError('a tensor in an archive')
    storage = torch.load(io.BytesIO(data), weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise ValueError('a tensor without its values')
    return storage


def _tensor(storage, offset: int, size: tuple, stride: tuple, *_) -> torch.Tensor:
    """Build a tensor of values that are there; torch's own function would make room for more."""
    number = storage._untyped_storage.nbytes() // storage.dtype.itemsize
    if math.prod(size) > number:
        raise ValueError(f'a tensor of {math.prod(size):,} elements, but {number:,} values')
    flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    return flat.as_strided(size, stride, offset).clone()


class _DType:
    """Stands in for ``numpy.dtype``: numbers and text, never objects or fields."""

    def __init__(self, code: str, *_):
        if not re.fullmatch(r'b1|[iu][1248]|f[248]|[SU]\d{1,6}', code):
            raise _Refused(f'holds an array of type {code!r:.40}, not of numbers')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array whose values a file sets."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, data = state
        super().__setstate__((1, shape, dtype.dtype, is_fortran, data))


def _empty_array(*_) -> np.ndarray:
    return np.ndarray.__new__(_Array, 0, np.uint8)


def _scalar(dtype: _DType, data: bytes) -> object:
    return np.frombuffer(data, dtype.dtype, count=1)[0]


def _latin1(text: str, encoding: str) -> bytes:
    """Give the bytes that protocol 2 has to write as text."""
    if encoding != 'latin1':
        raise _Refused(f'asks for _codecs.encode to {encoding!r:.80}')
    return text.encode('latin1')


def _no_bytes() -> bytes:
    """Give the bytes of what is empty, which protocol 2 writes as a call."""
    return b''


_STAND_INS = {
    'collections.OrderedDict': dict,
    '_codecs.encode': _latin1,
    'builtins.bytes': _no_bytes,
    '__builtin__.bytes': _no_bytes,
    'numpy.ndarray': _Array,
    'numpy.dtype': _DType,
    **{f'numpy.{core}.multiarray._reconstruct': _empty_array for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _scalar for core in ('core', '_core')},
    'torch.storage._load_from_bytes': _storage,
    'torch._utils._rebuild_tensor_v2': _tensor,
}


class _SampleUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        try:
            return _STAND_INS[f'{module}.{name}']
        except KeyError:
            raise _Refused(f'asks for {module}.{name}, which could run code') from None


def read_predictions(path: str | Path) -> list[dict]:
    """Read the samples that ``tools/test.py --out`` dumped; older files too.

    Args:
        path (str | Path): A ``.pkl`` file; ``~`` is expanded.

    Returns:
        list[dict]: One an image, with tensors, arrays, numbers and text: ``pred_score``,
        ``gt_label`` or ``gt_score``, ``img_path``, ...

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, damaged, or something else than a list of samples with
            ``pred_score``; or if it asks for anything that could run code, which the error names
            and which was not run.
    """
    path = Path(path).expanduser()
    if read_head(path, 'predictions')[0] != 0x80:
        raise ValueError(f'{path} is no pickle of predictions. {_HOW_TO_DUMP}')
    try:
        with path.open('rb') as file:
            samples = _SampleUnpickler(file, encoding='latin1').load()
    except _Refused as error:
        raise ValueError(f'{path} {error}, so it is not read. {_HOW_TO_DUMP}') from None
    except Exception as error:  # damaged bytes raise anything
        raise ValueError(
            f'{path} cannot be read as predictions, it may be damaged or something else '
            f'({type(error).__name__}: {str(error)[:100]}). {_HOW_TO_DUMP}'
        ) from None
    is_dump = isinstance(samples, list) and all(
        isinstance(sample, dict) and 'pred_score' in sample for sample in samples
    )
    if not is_dump or not samples:
        raise ValueError(f'{path} is no list of samples with pred_score. {_HOW_TO_DUMP}')
    return samples
