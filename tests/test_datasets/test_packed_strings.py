import pickle

import numpy as np
import pytest

from mmpretrain_mldecoder.datasets import PackedStrings

STRINGS = ['a.jpg', '', 'Katze – 猫.jpg', 'part/\0/b.jpg', '']


@pytest.mark.parametrize('strings', [STRINGS, ['é'], ['', ''], []])
def test_equals_a_list(strings):
    packed = PackedStrings(iter(strings))
    assert len(packed) == len(strings)
    assert list(packed) == [packed[i] for i in range(len(strings))] == strings
    assert [packed[np.int64(i - len(strings))] for i in range(len(strings))] == strings
    assert list(pickle.loads(pickle.dumps(packed))) == strings
    for beyond in (len(strings), -len(strings) - 1):
        with pytest.raises(IndexError):
            packed[beyond]
