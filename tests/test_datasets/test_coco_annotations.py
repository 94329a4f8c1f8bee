import json
import re

import numpy as np
import pytest
from annotation_fuzz import check, check_many
from coco_mutations import damaged_bytes, damaged_content

from mmpretrain_mldecoder.datasets import read_coco_annotations
from mmpretrain_mldecoder.fileio import files

IMAGE = dict(id=7, file_name='a.jpg', height=20, width=30)
CATEGORY = dict(id=3, name='cat')
ANNOTATION = dict(id=1, image_id=7, category_id=3, area=6.5, iscrowd=0, bbox=[0, 0, 2, 4])


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


def check_against_pycocotools(path, source=None):
    assert check(path, (source or path).read_bytes()) == 'read'


def with_ids(*ids):
    return coco_json(
        images=[dict(IMAGE, id=i) for i in ids],
        annotations=[dict(ANNOTATION, image_id=i, category_id=i) for i in (*ids, ids[0])],
        categories=[dict(id=i, name=f'class {i}') for i in ids],
    )


def twice(key, first):
    """The key stands twice: the last one counts."""
    return f'{{"{key}": {json.dumps(first)}, {coco_json()[1:]}'


FILE_NAMES = ('a\0.jpg', '../../etc/passwd', '/etc/passwd', '', 'a\n\x1b[2J.jpg')
READ = {
    'the largest ids': with_ids(2**63 - 1, -(2**63)),
    'ids in another order with gaps': with_ids(90, -5, 3, 41),
    'names that differ in a trailing NUL': coco_json(
        categories=[CATEGORY, dict(id=4, name='cat\0'), dict(id=5, name='Cat')]
    ),
    'file names are passed on': coco_json(
        images=[dict(IMAGE, id=7 + i, file_name=name) for i, name in enumerate(FILE_NAMES)]
    ),
    'images twice': twice('images', [dict(IMAGE, id=1)]),
    'categories twice': twice('categories', [dict(CATEGORY, id=1)]),
    'annotations twice': twice('annotations', []),
    'area twice': coco_json().replace('"area"', '"area": 5, "area"'),
}


@pytest.mark.parametrize('what', READ)
def test_equals_pycocotools(write, what):
    check_against_pycocotools(write(READ[what]))


@pytest.mark.parametrize('data', ['fake_coco', 'shared_data'])
def test_equals_pycocotools_on_a_folder(request, data, tmp_path):
    root = request.getfixturevalue(data)
    for source in root.glob('**/annotations/instances_*2017.json'):
        check_against_pycocotools(tmp_path / 'ann.json', source)


def test_an_area_that_cannot_be_is_that_of_the_bbox_or_unknown(write):
    boxes = [
        *(without(ANNOTATION, 'area'), dict(ANNOTATION, area=None), ANNOTATION),
        *(dict(ANNOTATION, bbox=[]), dict(ANNOTATION, area=0), dict(ANNOTATION, area='big')),
        *(dict(ANNOTATION, area=area) for area in (-3, 'nan', 1e300, float('nan'), float('inf'))),
        dict(ANNOTATION, area=None, bbox=[3, 3, 0, 4]),
        *(dict(ANNOTATION, area=-1, bbox=bbox) for bbox in ([9, 9, -2, -4], [1, 2], 'box', None)),
        dict(ANNOTATION, area=None, bbox=[0, 0, 1e308, 10]),
        without(ANNOTATION, 'area', 'bbox'),
    ]
    coco = read_coco_annotations(write(coco_json(annotations=boxes)))
    expected = [8, 8, 6.5, 6.5, 0, 8, *[8] * 5, 0, *[np.nan] * 6]  # 2 * 4 for the first two
    np.testing.assert_array_equal(coco.annotation_areas, expected)


@pytest.mark.parametrize(
    'labels',
    [
        [dict(ANNOTATION, area=0, bbox=[0, 0, 0, 0]), without(ANNOTATION, 'area', 'bbox')],
        [dict(ANNOTATION, area=600)],  # that of the image
        [dict(ANNOTATION, area=None, bbox=[0, 0, 30, 20])],
        [dict(ANNOTATION, area=0.02, bbox=[0.1, 0.1, 0.1, 0.2])],  # shares of the image
        [without(dict(ANNOTATION, area=5000), 'bbox')] * 2,
    ],
)
def test_areas_that_say_nothing_are_unknown(write, labels):
    coco = read_coco_annotations(write(coco_json(annotations=labels)))
    assert np.isnan(coco.annotation_areas).all()
    one_box = dict(ANNOTATION, area=7)
    coco = read_coco_annotations(write(coco_json(annotations=[*labels, one_box])))
    assert not np.isnan(coco.annotation_areas).all()
    for area in (0, 1, 100):  # a placeholder in each, beside which the boxes count
        boxes = [dict(ANNOTATION, area=area), dict(ANNOTATION, area=area, bbox=[0, 0, 3, 3])]
        coco = read_coco_annotations(write(coco_json(annotations=boxes)))
        assert coco.annotation_areas.tolist() == [8, 9]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_what_no_label_needs_may_be_anything(write, encoding):
    # what pycocotools reads, too
    fields = [
        dict(),
        dict(height=None, width=None),
        dict(height=480.5, width='x'),
        dict(height=[0]),
    ]
    images = [dict(id=i, file_name=f'{i}.jpg', **f) for i, f in enumerate(fields)]
    images += [dict(id=9, file_name='9.jpg', height=20.0, width='30', license=None, flickr_url=3)]
    annotations = [
        dict(image_id=0, category_id='3'),
        dict(image_id='9', category_id=3.0, iscrowd=None, segmentation=None, attributes={}),
        dict(image_id=2, category_id=3, iscrowd='true', ignore='no', id=None),
        dict(image_id=1, category_id=5, iscrowd=True, ignore=1),
        dict(image_id=1, category_id=5, difficult=True),
        dict(image_id=1, category_id=5, is_difficult='1', difficult='unspecified'),
    ]
    categories = [dict(id=3, name='Katze – 猫'), dict(id=5, name=5, supercategory=None)]
    text = coco_json(images=images, annotations=annotations, categories=categories, licenses=None)
    path = write(text, encoding=encoding)
    check_against_pycocotools(path)
    coco = read_coco_annotations(path)
    assert coco.category_names == ('Katze – 猫', '5')
    assert coco.heights.tolist() == [0, 0, 0, 0, 20]
    assert coco.widths.tolist() == [0, 0, 0, 0, 30]
    assert coco.annotation_images.tolist() == [0, 4, 2, 1, 1, 1]
    assert coco.annotation_is_crowd.tolist() == [False, False, True, True, False, False]
    assert coco.annotation_is_difficult.tolist() == [False] * 3 + [True] * 3


def test_ids_may_be_text_and_categories_named(write):
    images = [dict(IMAGE, id=id_) for id_ in ('007', 'a7f', 7, 2**70)]
    annotations = [dict(ANNOTATION, image_id=id_) for id_ in ('a7f', '7', '007', 2**70)]
    path = write(coco_json(images=images, annotations=annotations))
    check_against_pycocotools(path)
    coco = read_coco_annotations(path)
    assert coco.image_ids.tolist() == ['007', 'a7f', '7', str(2**70)]
    assert coco.annotation_images.tolist() == [1, 2, 0, 3]
    # a category by its name leaves the order of numbers
    categories = [dict(id=i, name=f'class {i}') for i in (10, 9)]
    annotations = [dict(ANNOTATION, category_id=i) for i in ('class 10', 9)]
    coco = read_coco_annotations(write(coco_json(annotations=annotations, categories=categories)))
    assert coco.category_names == ('class 9', 'class 10')
    assert coco.annotation_categories.tolist() == [1, 0]
    unknown = [dict(ANNOTATION, category_id='class 1')]
    path = write(coco_json(annotations=unknown, categories=categories[::-1]))
    with pytest.raises(ValueError, match=r'annotations\[0\] has category_id class 1, .*\[9, 10\]'):
        read_coco_annotations(path)


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
        (coco_json()[:-9], r'\(\d+ bytes\) is not valid JSON: it does not end in .*incomplete'),
        (coco_json()[:-2] + '}', r'not valid JSON: .*\(byte \d+\).*incomplete download'),
        (coco_json()[:-2], r'not valid JSON: Input data was truncated.*incomplete download'),
        ('[' + coco_json(), r'Expected `object`, got `array`'),
        (coco_json() + 'x', r'not valid JSON: it does not end in .*but in .*\}\]\}x'),
        (coco_json() + '{}', r'not valid JSON: .*trailing characters \(byte 22[45]\)'),
        ('[]', r'Expected `object`, got `array`.*instances_train2017'),
        (coco_json(annotations=[CAPTION]), r'`category_id` - at `\$\.annotations\[0\]`.*captions'),
        (coco_json(images=[without(IMAGE, 'file_name')]), r'`file_name` - at `\$\.images\[0\]`'),
        (json.dumps(dict(images=[IMAGE], categories=[CATEGORY])), r'required field `annotations`'),
        (json.dumps(dict(annotations=[], categories=[CATEGORY])), r'required field `images`'),
        (json.dumps(dict(annotations=[], images=[IMAGE])), r'required field `categories`'),
        (coco_json(images=[], annotations=[]), r'the list of images is empty'),
        (coco_json(categories=[], annotations=[]), r'the list of categories is empty'),
        (coco_json().replace('a.jpg', '\\ud800.jpg'), r'surrogate pair \(byte 42\)'),
    ],
)
def test_errors_name_the_file_the_place_and_the_fix(write, text, message):
    path = write(text)
    with pytest.raises(ValueError, match=message) as error:
        read_coco_annotations(path)
    assert str(path) in str(error.value)


def test_one_long_name_among_many_and_no_annotations(write):
    # as an array of strings they would take 4 GB
    categories = [dict(id=i, name='x' * (10**6 if i == 0 else 1 + i)) for i in range(1000)]
    coco = read_coco_annotations(write(coco_json(categories=categories, annotations=[])))
    assert len(coco.category_names) == 1000
    assert coco.annotation_images.tolist() == coco.annotation_areas.tolist() == []


def test_an_unknown_category_among_many(write):
    categories = [dict(id=i, name=str(i)) for i in range(10_000)]
    path = write(coco_json(categories=categories, annotations=[dict(ANNOTATION, category_id=-1)]))
    with pytest.raises(ValueError, match=r'\(ids \[0, 1, .*99, \.\.\.\]\)') as error:
        read_coco_annotations(path)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ('where', 'opening', 'closing'), [('"bbox": ', '[', ']'), ('"x": ', '{"a":', '}')]
)
def test_deep_nesting(write, where, opening, closing):
    deep = opening * 10**5 + ('0' if closing == '}' else '') + closing * 10**5
    path = write(coco_json().replace('"area"', f'{where}{deep}, "area"'))
    with pytest.raises(ValueError, match=r'nested more than 5 deep \(byte (\d+)\)') as error:
        read_coco_annotations(path)
    byte = int(re.search(r'\(byte (\d+)\)', str(error.value))[1])
    # three levels are around the value
    assert byte == path.read_text().index(deep) + 2 * len(opening)


def test_byte_positions_count_the_byte_order_mark(write):
    path = write('{"images": ?}', encoding='utf-8-sig')
    position = path.read_bytes().index(b'?')
    with pytest.raises(ValueError, match=rf'\(byte {position}\)'):
        read_coco_annotations(path)


@pytest.mark.parametrize('damaged', [damaged_bytes, damaged_content])
def test_damaged_files_equal_pycocotools_or_are_refused_with_the_place(tmp_path, damaged):
    check_many(damaged, tmp_path / 'ann.json', 600, derandomize=True)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_annotations_of_a_large_file(fake_coco, monkeypatch, encoding):
    path = fake_coco / 'annotations' / 'instances_train2017.json'
    expected = read_coco_annotations(path)
    path.write_text('\n' * 5000 + path.read_text(), encoding=encoding)
    monkeypatch.setattr(files, '_LARGE_BYTES', 0)
    ours = read_coco_annotations(path)
    assert list(ours.file_names) == list(expected.file_names)
    assert ours.annotation_areas.tolist() == expected.annotation_areas.tolist()
    path.write_text(path.read_text(encoding=encoding).replace('"area"', '"no area"'), encoding)
    assert read_coco_annotations(path).annotation_areas.tolist() == ours.annotation_areas.tolist()
    path.write_text(' \n' * 5000, encoding=encoding)
    with pytest.raises(ValueError, match=r'train2017\.json is empty: copy'):
        read_coco_annotations(path)
