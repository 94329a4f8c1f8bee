"""The advice of each message of the datasets, followed: what was wrong works then."""

import gzip
import io
import json

import cv2
import numpy as np
import pytest
from coco_dataset import coco_split
from faulty_images import encoded, photo
from mmpretrain.registry import DATASETS
from PIL import Image

from mmpretrain_mldecoder.datasets import SeededImageNet
from mmpretrain_mldecoder.datasets.transforms import LoadWholeImage, SquareResize
from mmpretrain_mldecoder.errors import UnreadableImageError

IMAGES, BOXES, CATEGORIES = 'images', 'annotations', 'categories'


def without(key, place, *names):
    return lambda c: [c[key][place].pop(name) for name in names]


def with_(key, place, **values):
    return lambda c: c[key][place].update(values)


def again(key, **values):
    return lambda c: c[key].append(dict(c[key][0], **values))


def same(content):
    """Nothing is changed in the file."""


# Wrong options, the message, and what its advice makes of them.
PREFIX = dict(data_prefix='train2017')
ROOT = dict(data_prefix='{root}/train2017', data_root='/', ann_file='{root}/{ann}')
LOADER = dict(type='LoadImageFromFile', backend_args=dict(backend='local'))
OPTIONS = [
    (dict(filter_cfg=dict(min_size=999)), 'set a smaller one', dict(filter_cfg=dict(min_size=9))),
    (
        dict(min_box_area=1e6, keep_unlabelled=False),
        'set keep_unlabelled=True',
        dict(min_box_area=1e6, keep_unlabelled=True),
    ),
    (dict(data_prefix='none'), 'Set `data_prefix` to their folder', PREFIX),
    (dict(data_prefix='none'), 'or to an absolute path', ROOT),
    (dict(data_prefix='annotations'), 'set `data_prefix` .* to the one that has them', PREFIX),
    (dict(classes=['bee', 'bee']), 'remove one', dict(classes=['bee'])),
    (dict(data_prefix=dict(img='train2017', img_path='b')), 'two folders.*: give one', PREFIX),
    (
        dict(data_prefix=dict(img='a', seg='b')),
        'keys are: img_path',
        dict(data_prefix=dict(img_path='train2017')),
    ),
    (dict(img_prefix='train2017'), "write data_prefix='train2017'", PREFIX),
    (dict(filter_empty_gt=False), 'write keep_unlabelled=True', dict(keep_unlabelled=True)),
    (dict(min_size=9), r'write filter_cfg=dict\(min_size=9\)', dict(filter_cfg=dict(min_size=9))),
    (dict(CLASSES=['bee']), r"write classes=\['bee'\]", dict(classes=['bee'])),
    (
        dict(filter_cfg=dict(filter_empty=False)),
        'near: filter_empty_gt',
        dict(filter_cfg=dict(filter_empty_gt=False)),
    ),
    (
        dict(classes=['bee'], metainfo=dict(CLASSES=['ant'])),
        'different.*: give one',
        dict(metainfo=dict(CLASSES=('bee',))),
    ),
    (dict(metainfo=dict(classes=[])), 'is empty: leave it out', {}),
    (dict(classes='bee, ant'), r"write classes=\['bee', 'ant'\]", dict(classes=['bee', 'ant'])),
    (dict(backend_args=dict(backend='local')), 'give it to the loader', dict(pipeline=[LOADER])),
    (dict(seg_prefix='x'), 'labels need none, remove it', {}),
    (
        dict(metainfo=dict(class_names=['bee'])),
        r'write metainfo=dict\(classes=',
        dict(metainfo=dict(classes=['bee'])),
    ),
]
NO_BOX, NO_SIDE = dict(min_box_area=1), dict(filter_cfg=dict(min_size=1))
UNKNOWN = r'annotations\[3\] has {} 999, .* among the {}1 of 22 annotations .*'
# What is wrong with the file, the options, the message, and what its advice changes of both.
ANNOTATIONS = [
    *((same, wrong, message, same, fixed) for wrong, message, fixed in OPTIONS),
    (
        *(without(BOXES, 3, 'area', 'bbox'), NO_BOX, 'Write an `area` or a bbox'),
        *(with_(BOXES, 3, bbox=[0, 0, 9, 9]), NO_BOX),
    ),
    (without(BOXES, 3, 'area', 'bbox'), NO_BOX, 'min_box_area=0', same, dict(min_box_area=0)),
    (
        *(without(IMAGES, 4, 'height'), NO_SIDE, 'Write both for each'),
        *(with_(IMAGES, 4, height=48), NO_SIDE),
    ),
    (without(IMAGES, 4, 'width'), NO_SIDE, 'leave out min_size', same, dict(filter_cfg={})),
    (
        *(with_(IMAGES, 2, file_name='000000000002.JPG'), {}, 'Correct the names'),
        *(with_(IMAGES, 2, file_name='000000000002.jpg'), {}),
    ),
    (again(IMAGES), {}, 'image id 100 occurs .*: give each its own', with_(IMAGES, -1, id=999), {}),
    (
        *(again(CATEGORIES, name='eel'), {}, 'category id .* occurs.*: give each its own'),
        *(with_(CATEGORIES, -1, id=999), {}),
    ),
    (
        *(again(CATEGORIES, id=999), {}, 'category name .* occurs.*: give each its own'),
        *(with_(CATEGORIES, -1, name='eel'), {}),
    ),
    (
        *(with_(BOXES, 3, image_id=999), {}, UNKNOWN.format('image_id', 'images; ') + 'Add what'),
        *(again(IMAGES, id=999), {}),
    ),
    (
        with_(BOXES, 3, category_id=999),
        {},
        UNKNOWN.format('category_id', r'categories \(ids \[10, 20, 30, 40\]\); ') + '.*or remove',
        lambda content: content[BOXES].pop(3),
        {},
    ),
]


@pytest.mark.parametrize(('wrong', 'options', 'message', 'fix', 'fixed'), ANNOTATIONS)
def test_advice_of_annotations_and_arguments(fake_coco, wrong, options, message, fix, fixed):
    config = coco_split(fake_coco)
    path = fake_coco / config['ann_file']
    content = json.loads(path.read_text())
    wrong(content)
    path.write_text(json.dumps(content))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        DATASETS.build(config | options)
    fix(content)
    path.write_text(json.dumps(content))
    for key, value in fixed.items():
        if isinstance(value, str):
            fixed = fixed | {key: value.format(root=fake_coco, ann=config['ann_file'])}
    dataset = DATASETS.build(config | fixed)
    assert len(dataset) >= 12 and dataset[1]['img_path'].endswith('.jpg')


@pytest.mark.parametrize(
    ('write', 'advice', 'read'),
    [
        (lambda data: gzip.compress(data), 'unpack it with gunzip', gzip.decompress),
        (
            lambda d: d.decode().encode('utf-16'),
            'iconv -f UTF-16 -t UTF-8',
            lambda d: d.decode('utf-16').encode(),
        ),
        (
            lambda d: d.replace(b'ant', b'\xe4nt'),
            'convert it with iconv -t UTF-8',
            lambda d: d.decode('latin-1').encode(),
        ),
    ],
)
def test_advice_of_files_in_other_forms(fake_coco, write, advice, read):
    config = coco_split(fake_coco)
    path = fake_coco / config['ann_file']
    path.write_bytes(write(path.read_bytes()))
    with pytest.raises(ValueError, match=advice):
        DATASETS.build(config)
    path.write_bytes(read(path.read_bytes()))
    assert len(DATASETS.build(config)) == 12


@pytest.mark.parametrize(
    ('content', 'advice', 'fixed'),
    [
        (b'\n\n', 'write one per line', b'bee\n'),
        (
            'bee'.encode('utf-16'),
            "is not UTF-8.*: write the class names with encoding='utf-8'",
            b'bee',
        ),
        (b'bee\n\nant', 'write one class name per line', b'bee\nant'),
        ('bee\nk\xe4fer'.encode('latin-1'), "write the class names with encoding='utf-8'", b'bee'),
    ],
)
def test_advice_of_class_files(fake_coco, tmp_path, content, advice, fixed):
    path = tmp_path / 'names.txt'
    path.write_bytes(content)
    config = coco_split(fake_coco, classes=str(path))
    with pytest.raises(ValueError, match=advice):
        DATASETS.build(config)
    path.write_bytes(fixed)
    assert DATASETS.build(config).CLASSES[0] == 'bee'


@pytest.mark.parametrize(
    ('line', 'options', 'advice', 'fixed', 'then'),
    [
        ('train/a.jpg', {}, 'is not a path, a blank and a label from 0', 'train/a.jpg 1', {}),
        ('train/a.jpg 0', dict(split='train'), 'leave `split` empty', 'train/a.jpg 0', {}),
        ('a.jpg 0', {}, 'correct .* and `data_prefix`', 'a.jpg 0', dict(data_prefix='train')),
        ('train/a.JPG 0', {}, 'Correct the names', 'train/a.jpg 0', {}),
    ],
)
def test_advice_of_lists(tmp_path, line, options, advice, fixed, then):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train/a.jpg').write_bytes(encoded(photo(0)))
    rest = dict(data_root=str(tmp_path), ann_file='list.txt', classes=('x', 'y'), split='')
    (tmp_path / 'list.txt').write_text(line)
    with pytest.raises((ValueError, FileNotFoundError), match=advice):
        SeededImageNet(**rest | options)
    (tmp_path / 'list.txt').write_text(fixed)
    dataset = SeededImageNet(**rest | then)
    assert dataset.get_data_info(0)['img_path'].endswith('train/a.jpg')


def stretched(content):
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.imencode('.png', cv2.normalize(pixels, None, 0, 65535, cv2.NORM_MINMAX))[1].tobytes()


def on_white(content):
    image = Image.open(io.BytesIO(content))
    white = Image.new('RGBA', image.size, 'white')
    return encoded(np.asarray(Image.alpha_composite(white, image)), 'PNG')


def as_8_bits(content):
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    return encoded(np.uint8(pixels), 'PNG')


DEEP = photo(0)[..., 0].astype(np.uint16)
SHAPE = np.zeros((60, 80, 4), np.uint8)
SHAPE[20:40, 20:50, 3] = 255


@pytest.mark.parametrize(
    ('content', 'advice', 'follow', 'options'),
    [
        (encoded(DEEP, 'PNG'), 'in 8 bits it is all but black; stretch it', stretched, {}),
        (encoded(SHAPE, 'PNG'), 'put it on a background', on_white, {}),
        (encoded(np.float32(DEEP), 'TIFF'), '32 bits a channel: save it with 8', as_8_bits, {}),
        (encoded(photo(0)), '80 x 60 .* more than max_pixels=4,799', bytes, dict(max_pixels=4800)),
    ],
)
def test_advice_of_images(tmp_path, content, advice, follow, options):
    path = tmp_path / 'a.png'
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=advice):
        LoadWholeImage(**({'max_pixels': 4799} if options else {}))(dict(img_path=str(path)))
    path.write_bytes(follow(content))
    seen = LoadWholeImage(**options)(dict(img_path=str(path)))['img']
    assert seen.shape == (60, 80, 3) and np.ptp(seen) > 100


@pytest.mark.parametrize('options', [dict(to_float32=True), dict(color_type='grayscale')])
def test_advice_of_transforms(tmp_path, options):
    (tmp_path / 'a.jpg').write_bytes(encoded(photo(0)))
    info = dict(img_path=str(tmp_path / 'a.jpg'))
    with pytest.raises(ValueError, match='without to_float32 or color_type='):
        SquareResize(8)(LoadWholeImage(**options)(dict(info)))
    assert SquareResize(8)(LoadWholeImage()(dict(info)))['img'].shape == (8, 8, 3)
