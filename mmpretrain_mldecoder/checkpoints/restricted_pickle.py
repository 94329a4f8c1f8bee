"""Restricted unpickling: Paddle's ``.pdparams``, and the predictions of ``tools/test.py --out``.

A pickle may name any function, and ``pickle.load`` calls it. Here every name that a format needs is
answered by a stand-in, which only holds values or checks what it is given; any other is refused.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ..fileio.files import read_head
from ..fileio.terminal import one_line


def read_pdparams(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays in a ``.pdparams`` file of ``paddle.save``, without PaddlePaddle.

    Takes what Paddle 2.0 to 3.3 writes for a state dict, at pickle protocols 2, 3 and 4, arrays
    above 1 GiB in slices included; bfloat16, which Paddle stores as integers, becomes float32. The
    arrays are in the order of the file, contiguous, writable and in the byte order of the machine.

    Raises ``FileNotFoundError``, and ``ValueError`` if the file is damaged, holds anything but a
    dict of arrays, or asks for any other function or class, which the error names.
    """
    hint = 'Weights are saved by paddle.save(model.state_dict(), path)'
    with _open(path, 'weights of PaddlePaddle', hint) as file:
        content = _unpickle(file, _ARRAYS)
        if not isinstance(content, dict):
            raise _Refused(f'holds a {type(content).__name__}, not a dict of arrays')
        content.pop('StructuredToParameterName@@', None)
        split = content.pop('UnpackBigParamInfor@@', {})  # spelled so by Paddle
        arrays = {name: _plain(name, value) for name, value in content.items()}
        for name, parts in split.items():
            slices = [arrays.pop(part) for part in parts['slices']]
            arrays[name] = np.concatenate(slices).reshape(parts['OriginShape'])
        return arrays


def read_predictions(path: str | Path) -> list[dict]:
    """Read the samples that ``tools/test.py --out`` dumped, one dict per image.

    They have tensors, arrays, numbers and text: ``pred_score``, ``gt_label`` or ``gt_score``,
    ``img_path``, ... Raises as :func:`read_pdparams`, and for samples without ``pred_score``.
    """
    hint = 'Predictions are written by tools/test.py CONFIG CHECKPOINT --out predictions.pkl'
    with _open(path, 'predictions', hint) as file:
        samples = _unpickle(file, _ARRAYS | _TENSORS)
        if not isinstance(samples, list) or not samples:
            raise _Refused('is no list of samples')
        if not all(isinstance(sample, dict) and 'pred_score' in sample for sample in samples):
            raise _Refused('has samples without pred_score')
        return samples


# ---- the unpickler


class _Refused(Exception):
    """The file is complete, but asks for or holds what its format does not have."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, stand_ins: Mapping):
        super().__init__(file, encoding='latin1')
        self.stand_ins = stand_ins

    def find_class(self, module: str, name: str) -> object:
        try:
            return self.stand_ins[f'{module}.{name}']
        except KeyError:
            raise _Refused(f'asks for {module}.{name}, which could run code') from None

    def persistent_load(self, identifier: tuple) -> object:
        return identifier


def _unpickle(file: BinaryIO, stand_ins: Mapping) -> Any:
    """Load the next pickle of a file, after a walk to its end for indices that fill the memory."""
    start = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(start)
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name in ('PUT', 'LONG_BINPUT') and int(argument or 0) > size:
            raise ValueError(f'memo index {argument} at byte {position}')
    file.seek(start)
    return _Unpickler(file, stand_ins).load()


@contextmanager
def _open(path: str | Path, what: str, hint: str) -> Iterator[BinaryIO]:
    """Open a pickle; what goes wrong with it is a ``ValueError`` with path and hint."""
    path = Path(path).expanduser()
    head = read_head(path, what)
    if head.startswith(b'PK'):
        raise ValueError(
            f'{path} is a zip archive, as torch.save writes it, not {what}. If it holds weights of '
            f'PyTorch, name it .pth. {hint}'
        )
    if head[0] != 0x80:
        raise ValueError(f'{path} is no pickle of {what}: it begins with {head[:8]!r}. {hint}')
    try:
        with path.open('rb') as file:
            yield file
    except _Refused as error:
        raise ValueError(f'{path} {error}, so it is not read. {hint}') from None
    except Exception as error:  # damaged bytes raise anything
        raise ValueError(
            f'{path} cannot be read as {what}, it may be truncated or damaged '
            f'({type(error).__name__}: {one_line(error):.200}). {hint}'
        ) from error


# ---- the stand-ins


class _DType:
    """Stands in for ``numpy.dtype``: numbers and text, neither objects nor fields."""

    def __init__(self, code: str, *_: object):
        if not re.fullmatch(r'b1|[iu][1248]|f[248]|[SU]\d{1,6}', code):
            raise _Refused(f'holds an array of type {code!r:.40}, not of numbers')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        version, byte_order, *details = state
        if version != 3 or byte_order not in '<>|=' or details[:3] != [None, None, None]:
            raise ValueError('a dtype with fields')
        self.dtype = self.dtype.newbyteorder(byte_order)


class _Array(np.ndarray):
    """Stands in for ``numpy.ndarray``: empty until the file sets its values."""

    def __new__(cls) -> '_Array':
        return super().__new__(cls, 0, np.uint8)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, data = state
        super().__setstate__((1, shape, dtype.dtype, is_fortran, data))


def _plain(name: object, value: object) -> np.ndarray:
    """Return a weight of Paddle's as a plain array."""
    if isinstance(value, tuple) and len(value) == 2:  # with Paddle's own name
        value = value[1]
    if not isinstance(name, str):
        raise _Refused(f'names an array {name!r:.80}, not by a text')
    if not isinstance(value, _Array) or value.dtype.kind not in 'biuf':
        raise _Refused(f'holds {name!r:.80}, which is no array of numbers')
    array = np.array(value, value.dtype.newbyteorder('='), order='C')
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _scalar(dtype: _DType, data: bytes) -> np.generic:
    return np.frombuffer(data, dtype.dtype, count=1)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Give the bytes that protocol 2 has to write as text."""
    if encoding != 'latin1':
        raise _Refused(f'asks for _codecs.encode to {encoding!r:.80}, which could run code')
    return text.encode('latin1')


def _storage(data: bytes) -> Tensor:
    """Read the values of a tensor: five pickles of torch's format before 1.6, then the values."""
    file = io.BytesIO(data)
    *_, identifier, keys = (_unpickle(file, _STORAGES) for _ in range(5))
    kind, dtype, key, _, number, _ = identifier
    if kind != 'storage' or keys != [key] or number != int.from_bytes(file.read(8), 'little'):
        raise ValueError('a tensor without its values')
    if number == 0:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(file.read()), dtype=dtype, count=number)


def _tensor(values: Tensor, offset: int, size: tuple, stride: tuple, *_: object) -> Tensor:
    """Build a tensor of values that are there; torch's own function would make room for more."""
    if math.prod(size) > len(values):
        raise ValueError(f'a tensor of {math.prod(size):,} elements, but {len(values):,} values')
    return values.as_strided(size, stride, offset).clone()


_ARRAYS = {
    'collections.OrderedDict': dict,
    '_codecs.encode': _encode,
    'numpy.ndarray': _Array,
    'numpy.dtype': _DType,
    **{f'numpy.{core}.multiarray._reconstruct': lambda *_: _Array() for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _scalar for core in ('core', '_core')},
    # protocol 2 writes what is empty as a call without arguments
    **{f'{builtins}.bytes': lambda: b'' for builtins in ('builtins', '__builtin__')},
    **{f'{builtins}.tuple': tuple for builtins in ('builtins', '__builtin__')},
}
_TENSORS = {'torch.storage._load_from_bytes': _storage, 'torch._utils._rebuild_tensor_v2': _tensor}
_STORAGES = {
    f'torch.{kind}Storage': getattr(torch, kind.lower())
    for kind in ['Bool', 'Short', 'Int', 'Long', 'Half', 'BFloat16', 'Float', 'Double']
} | {'torch.ByteStorage': torch.uint8, 'torch.CharStorage': torch.int8}
