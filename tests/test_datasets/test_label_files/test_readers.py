import ast
import json
import posixpath
from pathlib import Path

import pytest

from mmpretrain_mldecoder.datasets import label_files
from mmpretrain_mldecoder.datasets.label_files import FORMATS, Answers, find_label_files
from mmpretrain_mldecoder.datasets.label_files.label_source import FOLDER
from mmpretrain_mldecoder.errors import OpenQuestion


def lines(*records) -> str:
    return ''.join(json.dumps(record) + '\n' for record in records)


HEX = '0123456789abcdef' * 2
# Of each format: the files, and the labels of each image.
SAMPLES = {
    'coco': (
        {
            'a.json': '{"images": [{"id": 1, "file_name": "a.jpg"},'
            '{"id": 2, "file_name": "b.jpg"}],'
            '"annotations": [{"id": 1, "image_id": 1, "category_id": 7}],'
            '"categories": [{"id": 9, "name": "hot dog"}, {"id": 7, "name": "cat"}]}'
        },
        {'a.jpg': ['cat'], 'b.jpg': []},
    ),
    'mmpretrain': (
        {
            'train.json': '{"metainfo": {"classes": ["hot dog", "cat"]}, "data_list": ['
            '{"img_path": "a.jpg", "gt_label": [0, 1]},'
            '{"img_path": "b.jpg", "gt_label": [], "gt_score": [0, -1]}]}'
        },
        {'a.jpg': ['hot dog', 'cat'], 'b.jpg': ['?cat']},
    ),
    'datumaro': (
        {
            'annotations/train.json': '{"info": {}, "categories": {"label": {"labels": '
            '[{"name": "hot dog"}, {"name": "cat"}]}}, "items": ['
            '{"id": "a", "annotations": [{"id": 0, "type": "label", "label_id": 1}]},'
            '{"id": "x", "annotations": [], "image": {"path": "b.jpg", "size": [6, 8]}}]}'
        },
        {'a.jpg': ['cat'], 'b.jpg': []},
    ),
    'fiftyone': (
        {
            'labels.json': '{"classes": ["hot dog", "cat"], "labels": '
            '{"a": [{"label": "cat", "confidence": 0.9}, 0], "b": null}}'
        },
        {'a.jpg': ['hot dog', 'cat'], 'b.jpg': []},
    ),
    'label-studio': (
        {
            'export.json': '[{"data": {"image": "/data/upload/1/0123abcd-a.jpg"}, "annotations": '
            '[{"was_cancelled": false, "result": [{"from_name": "tags", "to_name": "image",'
            '"type": "choices", "value": {"choices": ["cat", "hot dog"]}}]}]},'
            '{"data": {"image": "/data/upload/1/0123abcd-b.jpg"}, "annotations": [{"result": []}]}]'
        },
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'hugging-face': (
        {
            'metadata.jsonl': '{"file_name": "a.jpg", "labels": ["cat", "hot dog"], "width": 8}\n'
            '{"file_name": "b.jpg", "labels": [], "width": 8}\n'
        },
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'google in JSON': (
        {
            'import.jsonl': '{"imageGcsUri": "gs://b/x/a.jpg", "dataItemResourceLabels": '
            '{"aiplatform.googleapis.com/ml_use": "test"},'
            '"classificationAnnotations": [{"displayName": "cat"}]}\n'
            '{"imageGcsUri": "gs://b/x/b.jpg", "dataItemResourceLabels": '
            '{"aiplatform.googleapis.com/ml_use": "training"},'
            '"classificationAnnotation": {"displayName": "hot dog"}}\n'
        },
        {'a.jpg': ['cat'], 'b.jpg': ['hot dog']},
    ),
    'google in CSV': (
        {'import.csv': 'TRAIN,gs://b/a.jpg,cat\ngs://b/a.jpg,hot dog\nUNASSIGNED,gs://b/b.jpg\n'},
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'azure': (
        {
            'train.jsonl': '{"image_url": "azureml://d/a.jpg", "label": ["cat", "hot dog"]}\n'
            '{"image_url": "azureml://d/b.jpg", "label": "cat"}\n'
        },
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': ['cat']},
    ),
    'json': (
        {'my.json': '[{"name": "a.jpg", "tags": ["cat", "hot dog"]}, {"name": "b", "tags": []}]'},
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'roboflow': (
        {'train/_classes.csv': f'filename, hot dog, cat \na.rf.{HEX}.jpg, 1, 0\nb.jpg, 0, 0\n'},
        {f'train/a.rf.{HEX}.jpg': ['hot dog'], 'train/b.jpg': []},
    ),
    'lists': (
        {'train.txt': 'a.jpg,cat,hot dog\nb.jpg\n'},
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'lists of values': (
        {'train_list.txt': 'a.jpg\t1,0\nb.jpg\t1,1\n', 'label_list.txt': '0 hot dog\n1 cat\n'},
        {'a.jpg': ['hot dog'], 'b.jpg': ['hot dog', 'cat']},
    ),
    'lists of numbers': (
        {'labels/training_label': '1000 1 2 \r\n1001 2\r\n', 'labels/words': 'hot dog\ncat\n'},
        {'img/1000.jpg': ['hot dog', 'cat'], 'img/1001.jpg': ['cat']},
    ),
    'csv': (
        {'labels.csv': 'image,labels\na.jpg,"cat,hot dog"\nb.jpg,\n'},
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'cvat': (
        {
            'annotations.xml': '<?xml version="1.0" encoding="utf-8"?>\n<annotations>'
            '<version>1.1</version><meta><task><labels><label><name>hot dog</name></label>'
            '<label><name>cat</name></label></labels></task></meta>'
            '<image id="0" name="a.jpg" subset="Train" width="8" height="6">'
            '<tag label="cat" source="manual"></tag></image>'
            '<image id="1" name="b.jpg" subset="Validation" width="8" height="6"/></annotations>'
        },
        {'a.jpg': ['cat'], 'b.jpg': []},
    ),
    'voc': (
        {
            'Annotations/a.xml': '<annotation><filename>wrong.jpg</filename><object>'
            '<name>cat</name></object><object><name>hot dog</name><difficult>0</difficult>'
            '</object></annotation>',
            'Annotations/other.xml': '<annotation><filename>b.jpg</filename></annotation>',
        },
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'voc-lists': (
        {
            'ImageSets/Main/hot dog_train.txt': 'a -1\n',
            'ImageSets/Main/cat_trainval.txt': 'a  1\nb -1\n',
            'ImageSets/Main/hot dog_val.txt': 'b  1\n',
            'ImageSets/Main/train.txt': 'a\n',
        },
        {'JPEGImages/a.jpg': ['cat'], 'JPEGImages/b.jpg': ['hot dog']},
    ),
    'yolo': (
        {
            'labels/train/a.txt': '1 .5 .5 .1 .1\n1 .2 .2 .1 .1 .1 .2 .3 3e-1\n',
            'labels/train/b.txt': '',
            'data.yaml': 'train: images/train\nnames: {0: hot dog, 1: cat}\n',
        },
        {'images/train/a.jpg': ['cat'], 'images/train/b.jpg': []},
    ),
    'labelme': (
        {
            'json/a.json': '{"imagePath": "..\\\\a.jpg", "flags": {"cat": true, "hot dog": true}, '
            '"shapes": []}',
            'json/b.json': '{"imagePath": "../b.jpg", "shapes": [], '
            '"flags": {"cat": false, "__ignore__": false}}',
        },
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'labelme with shapes': (
        {
            'a.json': '{"imagePath": "a.jpg", "imageData": "/9j/", "flags": null, '
            '"shapes": [{"label": "cat"}, {"label": "_background_"}, {"label": "hot dog"}]}',
            'b.json': '{"imagePath": "b.jpg", "shapes": [], "flags": {}}',
        },
        {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []},
    ),
    'folders': ({}, {'cat/a.jpg': ['cat', 'hot dog'], 'hot dog/b.jpg': ['hot dog']}),
}


def build(folder, name):
    files, expected = SAMPLES[name]
    folder.add_images(*expected)
    for path, text in files.items():
        folder.write(path, text)
    if name == 'folders':
        copy = (folder.path / 'cat/a.jpg').read_bytes()
        (folder.path / 'hot dog/a.jpg').write_bytes(copy)
    return expected


def format_of(name):
    return name.partition(' ')[0]


def test_every_format_has_a_sample():
    assert list(dict.fromkeys(map(format_of, SAMPLES))) == list(FORMATS)


SPLITS = {
    **dict.fromkeys(('mmpretrain', 'datumaro', 'azure', 'roboflow', 'lists'), ('train', 'train')),
    **dict.fromkeys(('lists of values', 'lists of numbers', 'yolo'), ('train', 'train')),
    'google in JSON': ('test', 'train'),
    'google in CSV': ('train', ''),
    **dict.fromkeys(('cvat', 'voc-lists'), ('train', 'val')),
}


@pytest.mark.parametrize('name', SAMPLES)
def test_a_sample_is_recognised_and_read(folder, name):
    expected = build(folder, name)
    assert find_label_files(folder.path).format.name == format_of(name)
    assert folder.labels(unlisted='no') == expected
    table = folder.read(unlisted='no')
    assert {*table.classes} == {'cat', 'hot dog'}
    assert table.splits == SPLITS.get(name, ('', ''))


@pytest.mark.parametrize('name', SAMPLES)
def test_files_that_are_cut_off_are_errors_in_one_line(folder, name):
    """Whatever is left of a file: it is read, asked about or refused, and nothing else."""
    build(folder, name)
    for path in SAMPLES[name][0]:
        content = (folder.path / path).read_bytes()
        for end in range(1, len(content), max(1, len(content) // 25)):
            (folder.path / path).write_bytes(content[:end])
            for answers in (Answers(), Answers(format=format_of(name), labels=path)):
                try:
                    folder.read(labels=answers.labels, format=answers.format)
                except (ValueError, FileNotFoundError) as error:
                    assert str(error)
        (folder.path / path).write_bytes(content)


@pytest.mark.parametrize(
    ('name', 'file', 'text', 'match'),
    (
        ('roboflow', 'train/_classes.csv', 'Pixel Value, Class\n0, background\n', 'masks'),
        (
            'datumaro',
            'annotations/train.json',
            '"label_id": 1 => "label_id": 7',
            r"'a' has label_id 7",
        ),
        ('mmpretrain', 'train.json', '[0, 1] => [7]', r'data_list\[0\] has gt_label 7'),
        ('lists of values', 'train_list.txt', 'a.jpg\t1,0\nb.jpg\t1\n', 'row 2'),
        (
            'lists of values',
            'train_list.txt',
            'a.jpg\t1,0\nb.jpg\t1,0,1\n',
            'row 2 has 3 values',
        ),
        ('lists of values', 'train_list.txt', 'a.jpg\t1,0,2\nb.jpg\t1,0,1\n', 'of 3 classes'),
        ('mmpretrain', 'train.json', '[0, -1] => [0, 0.5]', r'data_list\[1\] has gt_score'),
        ('mmpretrain', 'train.json', '["hot dog", "cat"] => "a.txt"', r'\$.metainfo.classes'),
        ('datumaro', 'annotations/train.json', '"name": "cat" => "id": 1', r'labels\[1\]'),
        ('label-studio', 'export.json', '[{"result": []}] => [7]', r'\$\[1\].annotations'),
        ('google in CSV', 'import.csv', 'TRIAN,gs://b/a.jpg,cat\n', "row 1 has ML_USE 'TRIAN'"),
        ('azure', 'train.jsonl', '{"image_url": "a.jpg", "label": 7}', 'line 1'),
        ('fiftyone', 'labels.json', '{"classes": ["x"], "labels": {"a": 7}}', "'a'"),
        ('cvat', 'annotations.xml', '<annotations><track/></annotations>', 'tracks of a video'),
        ('google in CSV', 'import.csv', 'TRAIN,gs://b/a.jpg,cat\nTRAIN,a.jpg,cat\n', 'row 2'),
        ('voc', 'Annotations/b.xml', '<doc><object><name>cat</name></object></doc>', 'b.xml .*doc'),
        ('voc', 'Annotations/a.xml', '<difficult>0 => <difficult>x', "a.xml .*<difficult> is 'x'"),
        ('voc-lists', 'ImageSets/Main/cat_trainval.txt', 'a 1\nb 2\n', 'line 2'),
        ('yolo', 'labels/train/a.txt', '1 .5 .5 .1\n', 'line 1'),
        ('labelme', 'json/b.json', '{"imagePath": "b.jpg", "shapes": 7}', 'b.json: .*shapes'),
    ),
)
def test_what_a_format_does_not_have_is_named(folder, name, file, text, match):
    build(folder, name)
    if ' => ' in text:
        text = SAMPLES[name][0][file].replace(*text.split(' => '))
    folder.write(file, text)
    with pytest.raises(ValueError, match=match) as caught:
        named = posixpath.dirname(file) if FOLDER in FORMATS[format_of(name)].suffixes else file
        folder.read(labels=named, format=format_of(name))
    assert not isinstance(caught.value, OpenQuestion)


def test_two_classes_of_one_name_are_refused(folder):
    build(folder, 'fiftyone')
    folder.write('labels.json', '{"classes": ["cat", "cat "], "labels": {"a": 0, "b": [1]}}')
    with pytest.raises(ValueError, match="2 classes have the name 'cat'"):
        folder.read()
    (folder.path / 'labels.json').unlink()
    folder.write('l.txt', 'a.jpg\t1,0\nb.jpg\t0,1\n')
    folder.write('classes.txt', 'cat\ncat\n')
    with pytest.raises(ValueError, match=r"classes\.txt: .* have the name 'cat'"):
        folder.read()


def test_the_values_of_all_splits_are_of_the_same_classes(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('train.txt', 'a.jpg\t1,0,1\nb.jpg\t0,1,0\n')
    for row, classes in (('1,0', '2'), ('1,0,2', 'no')):
        folder.write('val.txt', f'b.jpg\t{row}\n')
        with pytest.raises(ValueError, match=f'3 classes, and .* of {classes}|look like'):
            folder.read()


@pytest.mark.parametrize('name', ('cvat', 'voc'))
@pytest.mark.parametrize(
    'doctype',
    (
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
    ),
)
@pytest.mark.parametrize('encoding', ('utf-8', 'utf-16'))
def test_xml_with_a_doctype_is_refused(folder, name, doctype, encoding):
    build(folder, name)
    file = next(iter(SAMPLES[name][0]))
    content = SAMPLES[name][0][file].replace('<?xml version="1.0" encoding="utf-8"?>', '')
    folder.write(file, f'{doctype}{content}', encoding)
    with pytest.raises(ValueError, match='DOCTYPE'):
        folder.read(labels='Annotations' if name == 'voc' else file, format=format_of(name))


@pytest.mark.parametrize(
    ('file', 'text'),
    {
        'annotations.xml': '<annotations><image name="a.jpg"><tag label="cat"/><box label="dog"/>'
        '</image></annotations>',
        'annotations/train.json': '{"categories": {"label": {"labels": [{"name": "cat"},'
        '{"name": "dog"}]}}, "items": [{"id": "a", "annotations": ['
        '{"type": "label", "label_id": 0}, {"type": "bbox", "label_id": 1}]}]}',
    }.items(),
)
def test_asks_whether_boxes_are_labels(folder, file, text):
    folder.add_images('a.jpg')
    folder.write(file, text)
    folder.asked('boxes')
    assert folder.labels(boxes='no') == {'a.jpg': ['cat']}
    assert folder.labels(boxes='yes') == {'a.jpg': ['cat', 'dog']}
    only = text.replace('<tag label="cat"/>', '').replace('"type": "label"', '"type": "polygon"')
    folder.write(file, only)
    assert 'dog' in folder.labels()['a.jpg']


def test_attributes_of_cvat_are_counted(folder):
    folder.add_images('a.jpg')
    attribute = '<attribute name="Fried">true</attribute>'
    text = f'<image name="a.jpg"><tag label="meal">{attribute}</tag></image>'
    folder.write('annotations.xml', f'<annotations>{text}</annotations>')
    assert folder.labels() == {'a.jpg': ['meal']}
    assert any('1 attribute' in note for note in folder.read().notes)


def test_a_split_of_google_may_be_null(folder):
    folder.add_images('a.jpg')
    record = '{"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": [{"displayName": "cat"}]'
    use = '{"aiplatform.googleapis.com/ml_use": null}'
    folder.write('a.jsonl', f'{record}, "dataItemResourceLabels": {use}}}\n')
    assert folder.labels() == {'a.jpg': ['cat']}


@pytest.mark.parametrize(
    ('file', 'text'),
    {
        'a.csv': 'TRAIN,gs://b/a.jpg,cat,0.1,0.1,,,0.5,.5,,\n',
        'a.jsonl': '{"image_url": "a.jpg", "label": [{"label": "cat", "xmin": 0.1}]}\n',
        'b.jsonl': '{"image_url": "a.jpg", "label": {"label": "cat", "xmin": 0.1}}\n',
        'metadata.jsonl': '{"file_name": "a.jpg", "objects": {"id": [7], "category": ["cat"]}}\n',
    }.items(),
)
def test_boxes_are_labels_where_there_is_nothing_else(folder, file, text):
    folder.add_images('a.jpg')
    folder.write(file, text)
    assert folder.labels() == {'a.jpg': ['cat']}
    assert any('1 box' in note for note in folder.read().notes)


@pytest.mark.parametrize(
    ('name', 'split'),
    [('tests of may/a.csv', ''), ('my_test/a.csv', ''), ('test/a.csv', 'test'), ('val.csv', 'val')],
)
def test_folders_that_only_contain_a_word_give_no_split_outside_of_the_data(
    folder, tmp_path_factory, name, split
):
    folder.add_images('1.jpg', '2.jpg')
    labels = tmp_path_factory.mktemp('elsewhere') / name
    labels.parent.mkdir(exist_ok=True)
    labels.write_text('image,labels\n1.jpg,a|b\n2.jpg,a\n')
    assert folder.read(labels=str(labels)).splits == (split, split)


def test_no_reader_knows_another():
    folder = Path(label_files.__file__).parent
    readers = {format.read.__module__.rpartition('.')[2] for format in FORMATS.values()}
    for path in folder.glob('*.py'):
        if path.stem in ('formats', 'find_label_files'):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                known = {node.module, *(alias.name for alias in node.names)}
                assert not known & readers, f'{path.name} knows {known & readers}'
