import pickle

import numpy as np
import pytest

from mmpretrain_mldecoder.datasets import PackedStrings

STRINGS = ['a.jpg', '', 'Katze – 猫.jpg', 'part/\0/b.jpg', '']


@pytest.mark.parametrize('strings', [STRINGS, ['é'], ['', ''], []])
def test_equals_a_list(strings):
    packed = PackedStrings.pack(iter(strings))
    assert len(packed) == len(strings)
    assert list(packed) == [packed[i] for i in range(len(strings))] == strings
    assert [packed[np.int64(i - len(strings))] for i in range(len(strings))] == strings
    assert list(pickle.loads(pickle.dumps(packed))) == strings
    for beyond in (len(strings), -len(strings) - 1):
        with pytest.raises(IndexError):
            packed[beyond]


@pytest.mark.parametrize(
    ('text', 'bounds'),
    [
        (b'abc', [0, 2]),  # a rest
        (b'abc', [1, 3]),
        (b'abc', [0, 4]),
        (b'abc', [0, 2, 1, 3]),
        (b'abc', [0, -1, 3]),
        ('aé'.encode(), [0, 2, 3]),  # within a character
        (b'caf\xe9', [0, 4]),
    ],
)
def test_broken_arrays_are_refused(text, bounds):
    with pytest.raises(ValueError, match=r'whole characters|utf-8'):
        PackedStrings(np.frombuffer(text, np.uint8), np.array(bounds))
