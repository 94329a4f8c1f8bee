"""The files were written by Paddle itself: tests/peers/paddle_pickles.py recorded them."""

import base64
import builtins
import codecs
import json
import operator
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpretrain_mldecoder.checkpoints.paddle_pickle import read_pdparams

RECORDED = json.loads((Path(__file__).parents[1] / 'recorded' / 'paddle_pickles.json').read_text())
FILES = {name: base64.b64decode(content) for name, content in RECORDED['files'].items()}

WEIGHT = np.array([[0.5, -1.25, 3e-9], [7.0, -0.0, 1e30]], np.float32)
MEAN = np.array([0.125, 2.5], np.float32)
EXPECTED = {
    'tensors': {'fc.weight': WEIGHT, 'bn._mean': MEAN},
    'legacy': {'fc.weight': WEIGHT, 'bn._mean': MEAN},
    'arrays': {'fc.weight': WEIGHT, 'bn._mean': MEAN},
    'bfloat16': {'half': np.array([1.0, -2.5, 3.140625], np.float32)},
    'split': {'bn._mean': MEAN, 'wide': np.arange(10, dtype=np.float32).reshape(2, 5)},
    'kinds': {
        'half': np.array([1.5, -2.0], np.float16),
        'double': np.array([1 / 3]),
        'count': np.array([3, -4], np.int64),
        'scalar': np.array(2.0, np.float32),
        'columns': np.arange(6, dtype=np.float32).reshape(2, 3),
        'big endian': np.array([1.0, 2.0], np.float32),
        'no elements': np.zeros((0, 2), np.float32),
    },
}


@pytest.fixture
def read(tmp_path):
    def read(content: bytes):
        path = tmp_path / 'weights.pdparams'
        path.write_bytes(content)
        return read_pdparams(path)

    return read


def assert_same(arrays, expected):
    assert list(arrays) == list(expected)
    for name, array in expected.items():
        assert type(arrays[name]) is np.ndarray
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape), name
        assert arrays[name].tobytes() == array.tobytes(), name
        assert arrays[name].flags.writeable and arrays[name].flags.c_contiguous


@pytest.mark.parametrize('name', FILES)
def test_reads_what_paddle_writes(read, name):
    assert_same(read(FILES[name]), EXPECTED[name.split('-')[0]])


@pytest.mark.parametrize('protocol', [2, 3])
def test_reads_the_names_of_both_numpys(read, protocol):
    content = FILES[f'tensors-{protocol}']
    old, new = b'cnumpy.core.multiarray\n', b'cnumpy._core.multiarray\n'
    assert (old in content) != (new in content)
    for name in (old, new):
        assert_same(read(content.replace(new, old).replace(old, name)), EXPECTED['tensors'])


def test_reads_text_of_python_2(read):
    # Python 2 wrote the bytes of an array as its str, opcode U; torch.load(encoding=...) likewise.
    content = pickle.dumps({'w': MEAN}, protocol=3)
    data = MEAN.tobytes()
    old, new = b'C' + bytes([len(data)]) + data, b'U' + bytes([len(data)]) + data
    assert content.count(old) == 1
    assert_same(read(content.replace(old, new)), {'w': MEAN})


def test_reads_ordered_dict(read):
    assert_same(read(pickle.dumps(OrderedDict(b=MEAN, a=WEIGHT), 4)), {'b': MEAN, 'a': WEIGHT})


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no weights at .*none\.pdparams$'):
        read_pdparams(tmp_path / 'none.pdparams')
    with pytest.raises(FileNotFoundError, match='a folder'):
        read_pdparams(tmp_path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', r'weights\.pdparams is empty\. Download or save it again'),
        (b'\n<!DOCTYPE html><html>', 'is a web page, not weights.*Delete it, and download'),
        (b'<?xml version="1.0"?><Error/>', 'is a web page'),
        (b'PK\x03\x04rest', r'is a zip archive, as torch\.save writes it.*name it \.pth'),
        (b'\x1f\x8b\x08\x00', 'is not a file of paddle.save: it begins with b.*paddle.save'),
        (b'\x00\x00\x00\x00' + bytes(16), 'is not a file of paddle.save'),
        (b'\x80\x07', 'is not a file of paddle.save'),
        (b'\x80', 'is not a file of paddle.save'),
    ],
)
def test_other_files(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)


@pytest.mark.parametrize('name', ['tensors-2', 'tensors-4', 'split-3'])
def test_truncated_anywhere(read, name):
    for length in range(2, len(FILES[name])):
        with pytest.raises(ValueError, match='may be truncated or damaged'):
            read(FILES[name][:length])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([MEAN], 'holds a list, not a dict of arrays'),
        ({'epoch': 3}, "holds a int as 'epoch', not an array"),
        ({3: MEAN}, 'names an array 3, not by a text'),
        ({'names': ('a', 'b')}, "holds a str as 'names'"),
    ],
)
def test_other_contents(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(pickle.dumps(content, 4))


# ---- nothing is run


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def calls(target: str) -> dict[str, tuple[object, str]]:
    """Values that would create ``target``, or are on the way to it, and the name to be refused."""
    command = f'touch {target}'
    return {
        'system': (Call(os.system, command), f'{os.system.__module__}.system'),
        'open': (Call(open, target, 'w'), r'io\.open'),
        'eval': (Call(builtins.eval, f'open({target!r}, "w")'), 'builtins.eval'),
        'exec': (Call(builtins.exec, f'open({target!r}, "w")'), 'builtins.exec'),
        'import': (Call(builtins.__import__, 'os'), 'builtins.__import__'),
        'getattr': (Call(getattr, MEAN, 'tofile'), 'builtins.getattr'),
        'attrgetter': (operator.attrgetter('tofile'), 'operator.attrgetter'),
        'path': (Path(target), 'pathlib'),
        'numpy.save': (Call(np.save, target, MEAN), r'numpy\.save'),
        'numpy.load': (Call(np.load, target), r'numpy\.load'),
        'numpy scalar': (np.float64(1), r'multiarray\.scalar'),
        'numpy.fromfile': (Call(np.fromfile, target), r'numpy.*\.fromfile'),
        'callables in an array': (np.array([Call(open, target, 'w')]), r"numpy\.dtype\('O8'\)"),
        'structured array': (np.zeros(1, [('a', 'f4')]), r"numpy\.dtype\('V4'\)"),
        'text array': (np.array(['a']), r"numpy\.dtype\('U1'\)"),
        'other codec': (Call(codecs.encode, 'nop', 'rot13'), "_codecs.encode to 'rot13'"),
    }


@pytest.mark.parametrize('protocol', [2, 3, 4])
@pytest.mark.parametrize('kind', calls(''))
def test_refuses_by_name(tmp_path, read, kind, protocol):
    target = tmp_path / 'created'
    value, name = calls(str(target))[kind]
    if protocol == 2:
        name = name.replace('builtins', '__builtin__')
    content = pickle.dumps({'fc.weight': MEAN, 'planted': value}, protocol)
    with pytest.raises(ValueError, match=rf'weights\.pdparams asks for .*{name}.* not read'):
        read(content)
    assert not target.exists()


@pytest.fixture(scope='module')
def fuzz_file(tmp_path_factory):
    return tmp_path_factory.mktemp('fuzz') / 'weights.pdparams'


def damage(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replace ``length`` bytes from each ``position`` (modulo the size) by others."""
    for position, length, replacement in edits:
        position %= max(len(content), 1)
        content = content[:position] + replacement + content[position + length :]
    return content


EDITS = st.lists(
    st.tuples(st.integers(0, 4096), st.integers(0, 8), st.binary(max_size=8)),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=300)
@given(name=st.sampled_from(sorted(FILES)), edits=EDITS)
def test_damaged_files_are_arrays_or_value_errors(fuzz_file, name, edits):
    fuzz_file.write_bytes(damage(FILES[name], edits))
    try:
        arrays = read_pdparams(fuzz_file)
    except ValueError as error:
        assert str(fuzz_file) in str(error)
    else:
        assert all(type(array) is np.ndarray for array in arrays.values())
        assert all(array.dtype.kind in 'biuf' for array in arrays.values())


@settings(deadline=None, max_examples=300)
@given(
    kind=st.sampled_from(sorted(calls(''))),
    protocol=st.sampled_from([2, 3, 4]),
    edits=EDITS,
)
def test_damaged_attacks_run_nothing(fuzz_file, kind, protocol, edits):
    target = fuzz_file.with_name('created')
    value, _ = calls(str(target))[kind]
    fuzz_file.write_bytes(damage(pickle.dumps({'w': MEAN, 'planted': value}, protocol), edits))
    try:
        read_pdparams(fuzz_file)
    except ValueError as error:
        assert str(fuzz_file) in str(error)
    assert not target.exists()


@pytest.mark.parametrize('memo', [b'r\xff\xff\xff\x7f', b'p4000000000\n'])
def test_huge_memo_index_takes_no_memory(read, memo):
    with pytest.raises(ValueError, match='memo index'):
        read(b'\x80\x02}' + memo + b'.')
