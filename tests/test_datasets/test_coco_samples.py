import copy
import pickle

import numpy as np
import pytest

from mmpretrain_mldecoder.datasets import CocoSamples, PackedStrings


@pytest.fixture
def samples():
    """Three of four images; the second has nothing."""
    return CocoSamples(
        num_classes=3,
        rows=np.array([0, 1, 3]),
        folder='images',
        file_names=PackedStrings(['a.jpg', 'sub/b.jpg', 'left out', '猫.jpg']),
        image_ids=np.array([7, 5, 6, 2**40]),
        heights=np.array([10, 20, 30, 40]),
        widths=np.array([11, 21, 31, 41]),
        labels=np.array([0, 2, 1, 2]),
        label_bounds=np.array([0, 2, 2, 3, 4]),
        box_labels=np.array([2, 0, 2, 1, 2]),
        box_areas=np.array([1, 2, 3, 4, 5.5], np.float32),
        box_bounds=np.array([0, 3, 3, 4, 5]),
        difficult_labels=np.zeros(0, np.int64),
        difficult_bounds=np.zeros(5, np.int64),
    )


EXPECTED = [
    ('images/a.jpg', 7, 10, 11, [0, 2], [2, 0, 2], [1, 2, 3]),
    ('images/sub/b.jpg', 5, 20, 21, [], [], []),
    ('images/猫.jpg', 2**40, 40, 41, [2], [2], [5.5]),
]


def plain(info):
    return tuple(v.tolist() if isinstance(v, np.ndarray) else v for v in info.values())


def test_items_slices_and_takes(samples):
    assert len(samples) == 3
    assert [plain(info) for info in samples] == EXPECTED
    assert plain(samples[-1]) == plain(samples[np.int64(2)]) == EXPECTED[2]
    assert [plain(info) for info in samples[1:]] == EXPECTED[1:]
    assert [plain(info) for info in samples[::-1][:2]] == EXPECTED[:0:-1]
    assert [plain(info) for info in samples.take([2, 0, -3])] == [EXPECTED[i] for i in (2, 0, 0)]
    assert len(samples.take([])) == len(samples[3:]) == 0
    for beyond in (3, -4):
        with pytest.raises(IndexError):
            samples[beyond]
        with pytest.raises(IndexError):
            samples.take([beyond])


def test_paths_without_samples(samples):
    for each in (samples, samples[1:], samples.take([-1, 0])):
        assert list(each.img_paths()) == [sample['img_path'] for sample in each]


def test_a_dict_is_the_callers_own(samples):
    info = samples[0]
    info['height'] = 0
    for key in ('gt_label', 'instance_labels', 'instance_areas'):
        info[key][:] = 9
    assert plain(samples[0]) == EXPECTED[0]


def test_copies(samples):
    for other in (copy.deepcopy(samples), pickle.loads(pickle.dumps(samples[1:]))):
        assert plain(other[-1]) == EXPECTED[2]
    assert copy.deepcopy(samples).box_labels is samples.box_labels


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
