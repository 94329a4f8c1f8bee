from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmpretrain_mldecoder.apis import expand_inputs


@pytest.fixture
def photos(tmp_path):
    """b.jpg, a.PNG, notes.txt and sub/deep/c.webp; only the names matter here."""
    (tmp_path / 'sub' / 'deep').mkdir(parents=True)
    for name in ('b.jpg', 'a.PNG', 'notes.txt', 'sub/deep/c.webp'):
        (tmp_path / name).touch()
    return tmp_path


def test_folder_is_recursive_sorted_and_only_images(photos):
    expected = [str(photos / name) for name in ('a.PNG', 'b.jpg', 'sub/deep/c.webp')]
    assert expand_inputs(photos) == expand_inputs(str(photos)) == expected


@pytest.mark.parametrize(
    ('pattern', 'names'),
    [
        ('*', ['a.PNG', 'b.jpg']),
        ('**/*', ['a.PNG', 'b.jpg', 'sub/deep/c.webp']),
        ('?.jpg', ['b.jpg']),
    ],
)
def test_glob(photos, pattern, names):
    assert expand_inputs(str(photos / pattern)) == [str(photos / name) for name in names]


def test_file_with_glob_characters_is_a_file(photos):
    (photos / 'x[1].jpg').touch()
    assert expand_inputs(photos / 'x[1].jpg') == [str(photos / 'x[1].jpg')]


def test_named_file_needs_no_suffix(photos):
    (photos / 'photo').touch()
    assert expand_inputs(photos / 'photo') == [str(photos / 'photo')]


def test_list_file(photos):
    listed = photos / 'sub' / 'list.TXT'
    lines = ['../b.jpg', '', '# of the second day', '/data/gone.jpg', '  ./#1 ä.jpg ', '~/c.jpg']
    listed.write_bytes(b'\xef\xbb\xbf' + '\r\n'.join(lines).encode())
    assert expand_inputs([photos / 'b.jpg', listed]) == [
        str(photos / 'b.jpg'),
        f'{photos}/sub/../b.jpg',
        '/data/gone.jpg',
        f'{photos}/sub/./#1 ä.jpg',
        str(Path.home() / 'c.jpg'),
    ]


def test_list_file_of_nothing(photos):
    with pytest.raises(FileNotFoundError, match=r'no image in .*notes\.txt: a list file names one'):
        expand_inputs(photos / 'notes.txt')


@pytest.mark.parametrize(
    'content', [b'b.jpg\nc\0.jpg\n', 'b.jpg\n'.encode('utf-16'), b'\n\n\0', bytes(range(256))]
)
def test_what_is_no_list_file(photos, content):
    listed = photos / 'list.txt'
    listed.write_bytes(content)
    line = content[: content.index(b'\0')].count(b'\n') + 1
    with pytest.raises(ValueError, match=rf'list\.txt is no list file: line {line} has a NUL byte'):
        expand_inputs(listed)


def test_only_line_ends_end_a_path(photos):
    names = ['a\u2028b.jpg', 'a\x0cb.jpg', 'a\x85b.jpg']
    (photos / 'list.txt').write_bytes('\r\n'.join(names).encode())
    assert expand_inputs(photos / 'list.txt') == [str(photos / name) for name in names]


def test_addresses_are_refused(photos):
    with pytest.raises(
        ValueError, match=r'an input is an address, https://x\.org/1\.jpg: download'
    ):
        expand_inputs(['https://x.org/1.jpg'])
    (photos / 'notes.txt').write_text('b.jpg\ns3://photos/1.jpg')
    with pytest.raises(ValueError, match=r'line 2 of .*notes\.txt is an address, s3://photos'):
        expand_inputs(photos / 'notes.txt')


def test_list_keeps_its_order_and_mixes(photos):
    array, image = np.zeros((2, 3, 3), np.uint8), Image.new('L', (3, 2))
    got = expand_inputs([image, photos / 'b.jpg', array, photos / 'sub'])
    assert got[0] is image
    assert got[2] is array
    assert got[1::2] == [str(photos / 'b.jpg'), str(photos / 'sub/deep/c.webp')]


def test_missing_path_and_empty_folder(photos):
    with pytest.raises(
        FileNotFoundError, match=r'no such image, folder, glob or list file: .*gone\.jpg'
    ):
        expand_inputs(photos / 'gone.jpg')
    (photos / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match=r'no image in .*empty: none ends in \.bmp'):
        expand_inputs(photos / 'empty')
    with pytest.raises(FileNotFoundError, match=r'no image in .*\*\.gif'):
        expand_inputs(str(photos / '*.gif'))


@pytest.mark.parametrize(
    'array',
    [
        np.zeros(4, np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_wrong_array(array):
    with pytest.raises(
        ValueError, match=r'uint8 of shape \(H, W, 3\) as BGR.*but got (uint8|float32) of'
    ):
        expand_inputs(array)


def test_wrong_type():
    with pytest.raises(TypeError, match='but got int'):
        expand_inputs([3])
