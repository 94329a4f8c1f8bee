import re

import pytest

from mmpretrain_mldecoder.datasets import COCOMultiLabel
from mmpretrain_mldecoder.datasets.coco_multi_label import read_class_file


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / 'names.txt'
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    'content', [b'cat\nsea lion', b'\xef\xbb\xbfcat\r\nsea lion\r\n', b'cat\nsea lion\n\n\n']
)
def test_names(write, content):
    assert read_class_file(str(write(content))) == ('cat', 'sea lion')


def test_a_name_is_taken_as_it_is(write):
    names = ('K\u00e4tzchen \U0001f431', 'a\x85b\u2028c', ' cat ')
    assert read_class_file(write('\n'.join(names).encode())) == names


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'has no class names'),
        (b'\n\n', 'has no class names'),
        (b'cat\n\ndog', 'line 2 is empty'),
        ('cat\nd\u00f6g'.encode('latin-1'), r'is not UTF-8 \(byte 5\)'),
        ('cat'.encode('utf-16'), r'is not UTF-8 \(byte 0\)'),
    ],
)
def test_errors_name_the_file_and_the_place(write, content, message):
    path = write(content)
    with pytest.raises(ValueError, match=message) as error:
        read_class_file(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('name', ['none.txt', '.'])
def test_no_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match='is not a file: `classes` is a list of names, or'):
        read_class_file(tmp_path / name)


def test_the_dataset_reads_it(fake_coco, write):
    options = dict(ann_file='annotations/instances_val2017.json', data_root=str(fake_coco))
    path = write(b'\xef\xbb\xbfdog\nbee\n')
    dataset = COCOMultiLabel(**options, data_prefix='val2017', classes=str(path))
    assert dataset.metainfo['classes'] == ('dog', 'bee')
    with pytest.raises(ValueError, match=re.escape(str(write(b'')))):
        COCOMultiLabel(**options, classes=str(path))
    with pytest.raises(ValueError, match='`classes` is empty: leave it out'):
        COCOMultiLabel(**options, classes=[])
