from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmpretrain_mldecoder.apis import expand_inputs
from mmpretrain_mldecoder.apis.inference import image_inputs
from mmpretrain_mldecoder.apis.inference.image_inputs import ImagePipeline
from mmpretrain_mldecoder.datasets import image_header, image_search
from mmpretrain_mldecoder.errors import UnreadableImageError

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path):
    """b.jpg, a.PNG, notes.txt and sub/deep/c.webp; only the names matter here."""
    (tmp_path / 'sub' / 'deep').mkdir(parents=True)
    for name in ('b.jpg', 'a.PNG', 'notes.txt', 'sub/deep/c.webp'):
        (tmp_path / name).touch()
    return tmp_path


def test_folders_globs_and_files(photos):
    for name in ('x[1].jpg', 'without suffix'):
        (photos / name).touch()
    for pattern, names in (
        ('', ['a.PNG', 'b.jpg', 'sub/deep/c.webp', 'x[1].jpg']),
        ('*', ['a.PNG', 'b.jpg', 'x[1].jpg']),
        ('**/*', ['a.PNG', 'b.jpg', 'sub/deep/c.webp', 'x[1].jpg']),
        ('?.jpg', ['b.jpg']),
        ('x[1].jpg', ['x[1].jpg']),
        ('without suffix', ['without suffix']),
    ):
        expected = [str(photos / name) for name in names]
        assert expand_inputs(photos / pattern) == expand_inputs(str(photos / pattern)) == expected


def test_what_is_left_out_is_said_once(photos, monkeypatch):
    said = []
    monkeypatch.setattr(image_inputs, 'print_log', lambda text, *_: said.append(text))
    for folder in ('sub/more', 'sub/.cache'):
        (photos / folder).mkdir()
        (photos / folder / 'd.jpg').touch()
    for name in ('.e.jpg', '._b.jpg', 'f.csv', 'sub/.DS_Store', 'sub/README', 'sub/more/Thumbs.db'):
        (photos / name).touch()
    (photos / 'sub/gone.jpg').symlink_to('nowhere.jpg')
    (photos / 'list.txt').write_text('b.jpg')
    assert expand_inputs([photos, photos / 'list.txt']) == [
        *(str(photos / name) for name in ('a.PNG', 'b.jpg', 'sub/deep/c.webp', 'sub/more/d.jpg')),
        str(photos / 'b.jpg'),
    ]
    (line,) = said
    assert line.startswith('6 files left out: 2 .txt, ')
    for kind in ('1 .csv', '1 hidden', '1 without an ending', '1 link to nothing or no file'):
        assert kind in line
    said.clear()
    expand_inputs(photos / '**/*')
    assert said == [line]
    said.clear()
    assert expand_inputs(photos / 'b.jpg') and not said


def test_list_file(photos):
    listed = photos / 'sub' / 'list.TXT'
    lines = ['../b.jpg', '', '# of the second day', '/data/gone.jpg', '  ./#1 ä.jpg ', '~/c.jpg']
    lines.append('a\u2028b\x0cc\x85d.jpg')  # only line ends end a path
    listed.write_bytes(b'\xef\xbb\xbf' + '\r\n'.join(lines).encode())
    assert expand_inputs([photos / 'b.jpg', listed]) == [
        str(photos / 'b.jpg'),
        f'{photos}/sub/../b.jpg',
        '/data/gone.jpg',
        f'{photos}/sub/./#1 ä.jpg',
        str(Path.home() / 'c.jpg'),
        str(photos / 'sub' / lines[-1]),
    ]


@pytest.mark.parametrize('content', [b'b.jpg\nc\0.jpg\n', 'b.jpg\n'.encode('utf-16')])
def test_what_is_no_list_file(photos, content):
    listed = photos / 'list.txt'
    listed.write_bytes(content)
    line = content[: content.index(b'\0')].count(b'\n') + 1
    with pytest.raises(ValueError, match=rf'list\.txt is no list file: line {line} has a NUL byte'):
        expand_inputs(listed)
    listed.write_text('b.jpg\n', encoding='utf-8')  # as the message advises
    assert expand_inputs(listed) == [str(photos / 'b.jpg')]


def test_names_that_are_nearly_right(photos):
    (photos / 'sub' / '50% a.jpg').touch()
    (photos / 'list.txt').write_text('sub\\deep\\c.webp\nsub/50%25%20a.jpg\nsub/50% a.jpg\nB.jpg\n')
    names = ['sub/deep/c.webp', 'sub/50% a.jpg', 'sub/50% a.jpg', 'B.jpg']
    assert expand_inputs(photos / 'list.txt') == [str(photos / name) for name in names]
    with pytest.raises(FileNotFoundError, match=r'B\.jpg; near: b\.jpg \(differs in upper'):
        expand_inputs(photos / 'B.jpg')


def test_addresses_are_refused(photos):
    with pytest.raises(ValueError, match=r'an input is an address, https://x\.org/1\.jpg: downl'):
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


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('gone.jpg', r'no such image, folder, glob or list file: .*gone\.jpg'),
        ('empty', r'no image in .*empty: nothing is there'),
        ('*.gif', r'no image in .*\*\.gif: nothing is there'),
        ('other', r'no image in .*: 3 files left out: 2 \.csv, 1 \.heic \(needs pillow-heif\)'),
        ('other/*.csv', r'no image in .*\*\.csv: 1 file left out: 1 \.csv'),
        ('notes.txt', r'no image in .*notes\.txt: a list file names one'),
    ],
)
def test_no_image(photos, monkeypatch, name, message):
    (photos / 'empty').mkdir()
    (photos / 'other').mkdir()
    for other in ('1.csv', '2.CSV', '1.heic'):
        (photos / 'other' / other).touch()
    known = {'.jpg': 'JPEG'}  # as where no package adds formats to Pillow
    monkeypatch.setattr(image_header, 'image_suffixes', lambda: known)
    monkeypatch.setattr(image_search, 'image_suffixes', lambda: known)
    with pytest.raises(FileNotFoundError, match=message):
        expand_inputs(photos / name)


@pytest.mark.parametrize(
    ('shape', 'dtype'), [(4, 'u1'), ((4, 4, 2), 'u1'), ((2, 4, 4, 3), 'u1'), ((4, 4, 3), 'f4')]
)
def test_wrong_array_or_type(shape, dtype):
    with pytest.raises(ValueError, match=r'uint8 of shape \(H, W, 3\) as BGR.*but got \w+ of'):
        expand_inputs(np.zeros(shape, dtype))
    with pytest.raises(TypeError, match='but got int'):
        expand_inputs([3])
    assert len(expand_inputs([*np.zeros((2, 4, 4, 3), 'u1')])) == 2  # several go in a list


def packed(image, *transforms, load=LOAD):
    return ImagePipeline([load, *transforms, PACK])(image)['inputs'].numpy()


def save(tmp_path, image: np.ndarray) -> str:
    path = str(tmp_path / 'lossless.png')
    cv2.imwrite(path, image)
    return path


@pytest.mark.parametrize(
    'array',
    [PIXELS[..., :3], PIXELS, PIXELS[..., 0], PIXELS[::-1, ::-1, :3]],
    ids=['BGR', 'BGRA', 'grey', 'negative strides'],
)
@pytest.mark.parametrize('color_type', ['color', 'grayscale'])
def test_array_is_as_its_file(tmp_path, array, color_type):
    load = LOAD | dict(color_type=color_type, to_float32=True)
    expected = packed(save(tmp_path, array), load=load)
    got = packed(array, load=load)
    assert got.dtype == expected.dtype == np.float32
    # A decoder's own way to grey may round otherwise than OpenCV's conversion: by one level.
    np.testing.assert_allclose(got, expected, atol=color_type == 'grayscale')


@pytest.mark.parametrize('content', [b'', b'not an image', b'\xff\xd8\xff\xe0 torn'])
@pytest.mark.parametrize('ignore_empty', [False, True])
def test_unreadable_file(tmp_path, content, ignore_empty):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r'read image .*broken\.jpg: .+') as caught:
        packed(str(path), load=LOAD | dict(ignore_empty=ignore_empty))
    assert caught.value.path == str(path)
    assert '\n' not in caught.value.reason
    with pytest.raises(UnreadableImageError, match='No such file'):
        packed(str(tmp_path / 'gone.jpg'))


@pytest.mark.parametrize('color_type', ['color', 'grayscale'])
def test_image_for_drawing(tmp_path, color_type):
    pipeline = ImagePipeline([LOAD | dict(color_type=color_type, to_float32=True), PACK])
    image = pipeline.for_drawing(save(tmp_path, PIXELS[..., :3]))
    assert (image.dtype, image.shape) == (np.uint8, (20, 30, 3))
    if color_type == 'color':
        np.testing.assert_array_equal(image, PIXELS[..., :3])


@pytest.mark.parametrize(
    ('transform', 'size', 'shape'),
    [
        (dict(type='SquareResize', scale=8), (640, 480), (8, 11)),
        (dict(type='Resize', scale=(8, 8)), (480, 640), (11, 8)),
        (dict(type='SquareResize', scale=8), (50, 50), (8, 8)),
        (dict(type='CenterCrop', crop_size=8), (640, 480), (8, 8)),  # not all is seen
    ],
)
def test_seen_image_has_the_aspect_of_the_photo(transform, size, shape):
    pipeline = ImagePipeline([LOAD, transform, PACK])
    packed = pipeline(Image.new('RGB', size, (0, 7, 200)))
    assert packed['data_samples'].ori_shape == size[::-1]
    image = pipeline.seen(packed)
    assert (image.dtype, image.shape) == (np.uint8, (*shape, 3))
    assert (image == (200, 7, 0)).all()


def test_seen_image_of_a_grey_float_input():
    pipeline = ImagePipeline([LOAD, dict(type='CenterCrop', crop_size=8), PACK])
    packed = pipeline(PIXELS) | dict(inputs=torch.tensor([[[-3.0, 300.0]]]))
    np.testing.assert_array_equal(pipeline.seen(packed), [[[0, 0, 0], [255, 255, 255]]])
