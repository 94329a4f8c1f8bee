import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from mmpretrain_mldecoder.datasets import read_coco_annotations

IMAGE = dict(id=7, file_name='a.jpg', height=20, width=30)
CATEGORY = dict(id=3, name='cat')
ANNOTATION = dict(image_id=7, category_id=3, area=6.5, iscrowd=0, bbox=[0, 0, 2, 4])


def coco_json(**changes):
    content = dict(images=[IMAGE], annotations=[ANNOTATION], categories=[CATEGORY])
    return json.dumps({**content, **changes})


def without(record, *names):
    return {key: value for key, value in record.items() if key not in names}


@pytest.fixture
def write(tmp_path):
    def write(text, encoding='utf-8'):
        path = tmp_path / 'ann.json'
        path.write_text(text, encoding=encoding)
        return path

    return write


def check_against_pycocotools(path):
    ours, oracle = read_coco_annotations(path), COCO(str(path))

    assert ours.image_ids.tolist() == list(oracle.imgs)
    for i, image in enumerate(oracle.imgs.values()):
        assert ours.file_names[i] == image['file_name']
        assert (ours.heights[i], ours.widths[i]) == (image['height'], image['width'])

    assert ours.category_ids.tolist() == sorted(oracle.cats)
    assert list(ours.category_names) == [oracle.cats[i]['name'] for i in sorted(oracle.cats)]

    annotations = oracle.dataset['annotations']
    assert ours.image_ids[ours.annotation_images].tolist() == [a['image_id'] for a in annotations]
    assert ours.category_ids[ours.annotation_categories].tolist() == [
        a['category_id'] for a in annotations
    ]
    assert ours.annotation_areas.tolist() == [a['area'] for a in annotations]
    assert ours.annotation_is_crowd.tolist() == [bool(a['iscrowd']) for a in annotations]


@pytest.mark.parametrize('split', ['train', 'val'])
def test_equals_pycocotools_on_the_fake_coco(fake_coco, split):
    check_against_pycocotools(fake_coco / 'annotations' / f'instances_{split}2017.json')


@pytest.mark.parametrize('split', ['train', 'val'])
def test_equals_pycocotools_on_real_annotations(shared_data, split):
    path = shared_data / 'coco_tiny' / 'annotations' / f'instances_{split}2017.json'
    check_against_pycocotools(path)
    assert len(read_coco_annotations(path).category_names) == 80


def test_a_missing_or_null_area_is_that_of_the_bbox(write):
    boxes = [without(ANNOTATION, 'area'), dict(ANNOTATION, area=None), ANNOTATION]
    coco = read_coco_annotations(write(coco_json(annotations=boxes)))
    np.testing.assert_array_equal(coco.annotation_areas, [8, 8, 6.5])  # 2 * 4, as said


def test_an_empty_bbox_is_fine_beside_an_area(write):
    coco = read_coco_annotations(write(coco_json(annotations=[dict(ANNOTATION, bbox=[])])))
    assert coco.annotation_areas.tolist() == [6.5]


def test_no_annotations_at_all(write):
    coco = read_coco_annotations(write(coco_json(annotations=[])))
    assert coco.annotation_images.tolist() == coco.annotation_areas.tolist() == []


def test_lenient_forms_of_other_exporters(write):
    text = coco_json(
        images=[dict(IMAGE, height=20.0, width='30')],
        annotations=[
            without(dict(ANNOTATION, image_id='7'), 'iscrowd'),
            {**ANNOTATION, 'iscrowd': True},
        ],
        categories=[dict(CATEGORY, name='Katze – 猫', supercategory=None)],
    )
    coco = read_coco_annotations(write(text, encoding='utf-8-sig'))  # with a byte order mark
    assert (coco.heights[0], coco.widths[0]) == (20, 30)
    assert coco.annotation_images.tolist() == [0, 0]
    assert coco.annotation_is_crowd.tolist() == [False, True]
    assert coco.category_names == ('Katze – 猫',)


@pytest.mark.parametrize('name', ['none.json', '.'])
def test_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r'is not a file.*`ann_file`.*`data_root`'):
        read_coco_annotations(tmp_path / name)


CAPTION = dict(image_id=7, id=1, caption='A cat.')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', r'ann\.json is empty'),
        (' \n', r'ann\.json is empty'),
        (coco_json()[:-9], r'ann\.json \(\d+ bytes\) is not valid JSON: .*truncated'),
        ('<html>', r'not valid JSON: .*\(byte 0\).*incomplete download'),
        (coco_json() + 'x', r'not valid JSON: .*trailing characters \(byte \d+\)'),
        (coco_json(annotations=[dict(ANNOTATION, area=float('nan'))]), r'NaN or Infinity'),
        ('[]', r'Expected `object`, got `array`.*instances_train2017'),
        (coco_json(annotations=[CAPTION]), r'`category_id` - at `\$\.annotations\[0\]`.*captions'),
        (coco_json(images=[without(IMAGE, 'file_name')]), r'`file_name` - at `\$\.images\[0\]`'),
        (json.dumps(dict(images=[IMAGE], categories=[CATEGORY])), r'required field `annotations`'),
        (json.dumps(dict(annotations=[], categories=[CATEGORY])), r'required field `images`'),
        (json.dumps(dict(annotations=[], images=[IMAGE])), r'required field `categories`'),
        (coco_json(images=[], annotations=[]), r'the list of images is empty'),
        (coco_json(categories=[], annotations=[]), r'the list of categories is empty'),
        (coco_json(images=[IMAGE, IMAGE]), r'image id 7 occurs more than once \(1 such\)'),
        (coco_json(categories=[CATEGORY] * 2), r'category id 3 occurs more than once'),
        (
            coco_json(categories=[CATEGORY, dict(CATEGORY, id=4)]),
            r"category name 'cat' occurs more than once",
        ),
        (
            coco_json(annotations=[ANNOTATION, dict(ANNOTATION, category_id=9)]),
            r'annotations\[1\] has category_id 9, .*\(ids \[3\]\); 1 of 2 annotations',
        ),
        (
            coco_json(annotations=[dict(ANNOTATION, image_id=-1)]),
            r'annotations\[0\] has image_id -1, which is not among the images; 1 of 1',
        ),
        (
            coco_json(annotations=[ANNOTATION, without(ANNOTATION, 'area', 'bbox')]),
            r'annotations\[1\] has neither an `area` nor a bbox',
        ),
        (
            coco_json(annotations=[dict(ANNOTATION, area=None, bbox=[1, 2])]),
            r'annotations\[0\] has neither an `area` nor a bbox',
        ),
    ],
)
def test_errors_name_the_file_the_place_and_the_fix(write, text, message):
    path = write(text)
    with pytest.raises(ValueError, match=message) as error:
        read_coco_annotations(path)
    assert str(path) in str(error.value)


def test_text_that_is_not_utf8(tmp_path):
    path = tmp_path / 'latin.json'
    path.write_bytes(coco_json().encode().replace(b'"cat"', b'"caf\xe9"'))
    with pytest.raises(ValueError, match=r"latin\.json .* is not valid JSON: 'utf-8' codec"):
        read_coco_annotations(path)


def test_byte_positions_count_the_byte_order_mark(write):
    path = write('{"images": ?', encoding='utf-8-sig')
    position = path.read_bytes().index(b'?')
    with pytest.raises(ValueError, match=rf'\(byte {position}\)'):
        read_coco_annotations(path)
