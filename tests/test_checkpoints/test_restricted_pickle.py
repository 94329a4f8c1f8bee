"""Paddle's files were written by Paddle itself: tests/peers/paddle_pickles.py recorded them."""

import base64
import builtins
import codecs
import copy
import json
import operator
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_files import Call
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.fileio import dump

from mmpretrain_mldecoder.checkpoints.restricted_pickle import read_pdparams, read_predictions

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
    def read(content: bytes, reader=read_pdparams):
        path = tmp_path / 'some.file'
        path.write_bytes(content)
        return reader(path)

    return read


# ---- Paddle's weights


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


def test_reads_text_of_python_2_and_ordered_dicts(read):
    # Python 2 wrote the bytes of an array as its str, opcode U; torch.load(encoding=...) likewise.
    content = pickle.dumps(OrderedDict(w=MEAN), protocol=3)
    data = MEAN.tobytes()
    old, new = b'C' + bytes([len(data)]) + data, b'U' + bytes([len(data)]) + data
    assert content.count(old) == 1
    assert_same(read(content.replace(old, new)), {'w': MEAN})


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([MEAN], 'holds a list, not a dict of arrays'),
        ({'epoch': 3}, "holds 'epoch', which is no array of numbers"),
        ({'names': np.array(['a'])}, "holds 'names', which is no array of numbers"),
        ({'mean': np.float64(1)}, "holds 'mean', which is no array of numbers"),
        ({3: MEAN}, 'names an array 3, not by a text'),
    ],
)
def test_other_contents_than_weights(read, content, message):
    with pytest.raises(ValueError, match=rf'{message}.*paddle\.save'):
        read(pickle.dumps(content, 4))


# ---- predictions


@pytest.mark.parametrize('protocol', [2, 3, 4])
def test_reads_samples_of_every_protocol(tmp_path, protocol):
    """MMEngine writes protocol 2, older files of this package too."""
    batch = torch.rand(3, 5)
    sample = dict(
        pred_score=batch[1],
        gt_label=torch.tensor([0, 4]),
        half=batch[0].half()[::2],
        bfloat16=batch[2].bfloat16(),
        no_label=torch.tensor([], dtype=torch.int64),
        areas=np.array([1.5, 2], np.float32),
        none=np.array([], np.int64),
        table=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        names=np.array(['ä', 'bc']),
        big_endian=np.array([1, 2], '>i4'),
        number=np.float64(0.25),
        img_path='a/ü.jpg',
        shape=(3, 4),
        flag=True,
        nothing=None,
    )
    dump([sample], tmp_path / 'a.pkl', protocol=protocol)
    (read,) = read_predictions(tmp_path / 'a.pkl')
    assert read.keys() == sample.keys()
    for key, value in sample.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(read[key], value) and read[key].dtype == value.dtype
        else:
            np.testing.assert_array_equal(read[key], value)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'state_dict': 1}, 'is no list of samples'),
        ([], 'is no list of samples'),
        ([dict(gt_label=1)], 'has samples without pred_score'),
    ],
)
def test_other_contents_than_samples(read, content, message):
    with pytest.raises(ValueError, match=rf'{message}.*tools/test\.py CONFIG CHECKPOINT --out'):
        read(pickle.dumps(content), read_predictions)


# ---- other files, and damaged ones

READERS = {read_pdparams: {'fc.weight': MEAN}, read_predictions: [dict(pred_score=MEAN)]}


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', r'some\.file is empty'),
        (b'PK\x03\x04rest', r'is a zip archive, as torch\.save writes it.*name it \.pth'),
        (b'\x1f\x8b\x08\x00', 'is no pickle of .*: it begins with b'),
        (pickle.dumps([1], protocol=0), 'is no pickle of .*: it begins with b'),
        (b'\x80\x07', 'may be truncated or damaged'),
        (b'\x80', 'may be truncated or damaged'),
    ],
)
def test_other_files(read, reader, content, message):
    with pytest.raises(ValueError, match=message):
        read(content, reader)


@pytest.mark.parametrize('name', ['tensors-2', 'tensors-4', 'split-3'])
def test_truncated_anywhere(read, name):
    for length in range(2, len(FILES[name])):
        with pytest.raises(ValueError, match='may be truncated or damaged'):
            read(FILES[name][:length])


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('memo', [b'r\xff\xff\xff\x7f', b'p4000000000\n'])
def test_huge_memo_index_takes_no_memory(read, reader, memo):
    with pytest.raises(ValueError, match='memo index'):
        read(b'\x80\x02}' + memo + b'.', reader)


# ---- nothing is run


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
        'numpy.fromfile': (Call(np.fromfile, target), r'numpy.*\.fromfile'),
        'torch.load': (Call(torch.load, target), r'torch\.serialization\.load'),
        'callables in an array': (np.array([Call(open, target, 'w')]), "array of type 'O8'"),
        'structured array': (np.zeros(1, [('a', 'f4')]), "array of type 'V4'"),
        'other codec': (Call(codecs.encode, 'nop', 'rot13'), "_codecs.encode to 'rot13'"),
    }


def planted(reader, value: object, protocol: int) -> bytes:
    """A file of the reader's format with a value in it."""
    content = copy.deepcopy(READERS[reader])
    (content if isinstance(content, dict) else content[0])['planted'] = value
    return pickle.dumps(content, protocol)


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize('kind', calls(''))
def test_refuses_by_name(tmp_path, read, reader, kind, protocol):
    target = tmp_path / 'created'
    value, name = calls(str(target))[kind]
    if protocol == 2:
        name = name.replace('builtins', '__builtin__')
    with pytest.raises(ValueError, match=rf'some\.file (asks for|holds) .*{name}.* not read'):
        read(planted(reader, value, protocol), reader)
    assert not target.exists()


def test_what_stands_in_for_an_array_takes_no_arguments(read):
    """``numpy.ndarray(10**12)`` would make room for that many."""
    with pytest.raises(ValueError, match='cannot be read as'):
        read(planted(read_predictions, Call(np.ndarray, 10**12), 4), read_predictions)


def test_values_inside_a_tensor_run_nothing(tmp_path, read):
    """A tensor's values are a pickle in the pickle."""
    inner = pickle.dumps(Call(os.system, f'touch {tmp_path / "created"}'))
    call = Call(torch.storage._load_from_bytes, inner)
    with pytest.raises(ValueError, match=r'asks for \w+\.system'):
        read(planted(read_predictions, call, 4), read_predictions)
    assert not (tmp_path / 'created').exists()


def test_a_tensor_larger_than_its_values_is_refused(read):
    storage = torch.rand(4)._typed_storage()
    for size, stride, offset in (((2**40,), (1,), 0), ((4,), (2**40,), 0), ((4,), (1,), 2)):
        huge = Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})
        with pytest.raises(ValueError, match='cannot be read as predictions'):
            read(planted(read_predictions, huge, 4), read_predictions)


@pytest.fixture(scope='module')
def fuzz_file(tmp_path_factory):
    return tmp_path_factory.mktemp('fuzz') / 'some.file'


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


SAMPLES = pickle.dumps([dict(pred_score=torch.rand(4), areas=MEAN, names=np.array(['a']))])


@settings(deadline=None, max_examples=300)
@given(content=st.sampled_from([*FILES.values(), *[SAMPLES] * len(FILES)]), edits=EDITS)
def test_damaged_files_are_read_or_value_errors(fuzz_file, content, edits):
    fuzz_file.write_bytes(damage(content, edits))
    try:
        if content == SAMPLES:
            assert isinstance(read_predictions(fuzz_file), list)
        else:
            for array in read_pdparams(fuzz_file).values():
                assert type(array) is np.ndarray and array.dtype.kind in 'biuf'
    except ValueError as error:
        assert str(fuzz_file) in str(error)


@settings(deadline=None, max_examples=300)
@given(
    reader=st.sampled_from(list(READERS)),
    kind=st.sampled_from(sorted(calls(''))),
    protocol=st.sampled_from([2, 3, 4]),
    edits=EDITS,
)
def test_damaged_attacks_run_nothing(fuzz_file, reader, kind, protocol, edits):
    target = fuzz_file.with_name('created')
    value, _ = calls(str(target))[kind]
    fuzz_file.write_bytes(damage(planted(reader, value, protocol), edits))
    try:
        reader(fuzz_file)
    except ValueError as error:
        assert str(fuzz_file) in str(error)
    assert not target.exists()
