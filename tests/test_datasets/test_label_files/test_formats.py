import gzip
import json

import pytest

from mmpretrain_mldecoder.datasets.label_files import Answers, find_label_files
from mmpretrain_mldecoder.errors import OpenQuestion


def coco(*names, **boxes):
    """A COCO JSON with an annotation of ``cat`` in each image."""
    images = [dict(id=i, file_name=name) for i, name in enumerate(names)]
    annotations = [dict(id=i, image_id=i, category_id=3, **boxes) for i in range(len(names))]
    categories = [dict(id=7, name='dog'), dict(id=3, name='cat')]
    return json.dumps(dict(images=images, annotations=annotations, categories=categories))


def test_files_of_several_splits_are_one_dataset(folder):
    folder.add_images('train2017/1.jpg', 'val2017/1.jpg')
    for split in ('train', 'val'):
        folder.write(f'annotations/instances_{split}2017.json', coco('1.jpg'))
        folder.write(f'annotations/captions_{split}2017.json', '{"images": [], "annotations": []}')
    table = folder.read()
    assert table.images == ('train2017/1.jpg', 'val2017/1.jpg')
    assert table.splits == ('train', 'val')
    assert table.classes == ('cat', 'dog')
    assert not table.unlisted


def test_asks_which_of_several_files_it_is(folder):
    folder.add_images('1.jpg')
    for year in (2014, 2017):
        for split in ('train', 'val'):
            folder.write(f'annotations/instances_{split}{year}.json', coco('1.jpg'))
    folder.write('labels.csv', 'image,labels\n1.jpg,dog\n')
    folder.write('test.csv', 'image,caption\n1.jpg,a dog\n')
    patterns = folder.asked('labels')
    assert len(patterns) == 4
    for pattern in patterns:
        files = find_label_files(folder.path, Answers(labels=pattern))
        is_coco = pattern.startswith('annotations')
        assert len(files.paths) == (2 if is_coco else 1)
        assert files.format.name == ('coco' if is_coco else 'csv')
    answers = Answers(format='coco', labels='annotations/*14.json')
    assert len(find_label_files(folder.path, answers).paths) == 2


def test_folders_of_splits_with_different_names_can_be_joined(folder):
    """As in 24stuti/driver-assistance-system."""
    for split in ('train', 'valid', 'test_data'):
        folder.add_images(f'{split}/{split}.jpg')
        folder.write(f'{split}/_classes.csv', f'filename, cat, dog\n{split}.jpg, 1, 0\n')
    assert '**/_classes.csv' in folder.asked('labels')
    table = folder.read(labels='**/_classes.csv')
    assert dict(zip(table.images, table.splits, strict=True)) == {
        'train/train.jpg': 'train',
        'valid/valid.jpg': 'val',
        'test_data/test_data.jpg': 'test',
    }
    assert folder.read(labels='*/_classes.csv').splits == ('train', 'val')
    folder.write('test_data/_classes.csv', 'filename, cat\ntest_data.jpg, 1\n')
    assert '**/_classes.csv' not in folder.asked('labels')


def test_says_what_is_missing_and_what_is_not_listed(folder):
    folder.add_images('1.jpg', '2.jpg')
    folder.write('a.json', coco('1.jpg', 'gone.jpg'))
    table = folder.read()
    assert (table.missing, table.unlisted) == (('gone.jpg',), ('2.jpg',))
    assert any('gone.jpg' in note for note in table.notes)
    assert any('2.jpg' in note for note in table.notes)
    folder.write('a.json', coco('gone.jpg'))
    with pytest.raises(ValueError, match=r'gone\.jpg'):
        folder.read()


def test_doubtful_boxes_are_unknown_labels(folder):
    folder.add_images('1.jpg')
    folder.write('a.json', coco('1.jpg', ignore=1))
    assert folder.labels() == {'1.jpg': ['?cat']}


def test_asks_about_names_that_mean_no_label(folder):
    folder.add_images('1.jpg', '2.jpg')
    folder.write('a.csv', 'image,labels\n1.jpg,No Finding\n2.jpg,No Finding|Mass\n')
    assert set(folder.asked('no_label')) == {('No Finding',), ()}
    table = folder.read(no_label=('No Finding',))
    assert (table.classes, table.targets.tolist()) == (('Mass',), [[0], [1]])
    assert any('2.jpg' in note for note in table.notes)
    assert folder.read(no_label=()).classes == ('Mass', 'No Finding')
    folder.write('a.csv', 'image,labels\n1.jpg,no_label\n2.jpg,Mass\n')
    assert set(folder.asked('no_label')) == {('no_label',), ()}


def test_refuses_what_is_not_there(folder):
    with pytest.raises(ValueError, match='no labels found'):
        folder.read()
    with pytest.raises(FileNotFoundError, match=r'no\.csv'):
        folder.read(labels='no.csv')
    with pytest.raises(ValueError, match='near: coco'):
        folder.read(format='cocoo')
    with pytest.raises(ValueError, match='minus_one'):
        Answers(minus_one='maybe')
    with pytest.raises(FileNotFoundError, match='not a folder'):
        find_label_files(folder.path / 'none')
    folder.write('l.csv', '')
    with pytest.raises(FileNotFoundError, match='this file by `labels`'):
        find_label_files(folder.path / 'l.csv')


@pytest.mark.parametrize(
    'content', (b'', b'{', b'[]', b'[[[', b'null', b'\xff\xfe', b'{"a": 1}' * 2)
)
@pytest.mark.parametrize('name', ('a.json', 'a.csv', 'a.txt', 'a.jsonl', 'a.xml'))
def test_other_files_are_not_taken_for_labels(folder, name, content):
    folder.add_images('1.jpg')
    (folder.path / name).write_bytes(content)
    with pytest.raises(ValueError, match='no labels found'):
        folder.read()


DAMAGED = {
    'l.json': (coco('x/a.jpg')[:-9].encode(), 'does not end'),
    'm.json': (coco('x/a.jpg').encode('utf-16'), 'UTF-16'),
    'metadata.jsonl': (b'{"file_name": "x/a.jpg", "labels": ["c', 'truncated'),
    'l.csv': (b'image,labels\n', "begins with 'image,labels'"),
    'm.csv': (b'', 'empty'),
    'annotations.xml': (b'<annotations', 'unclosed token'),
}


@pytest.mark.parametrize('name', DAMAGED)
def test_folders_are_no_classes_beside_a_file_that_cannot_be_read(folder, name):
    content, reason = DAMAGED[name]
    folder.add_images('x/a.jpg', 'y/b.jpg')
    (folder.path / name).write_bytes(content)
    with pytest.raises(OpenQuestion, match=reason):
        folder.read()
    assert set(folder.asked('format')) == {'folders'}
    assert folder.read(format='folders').classes == ('x', 'y')
    with pytest.raises(ValueError, match=f'no labels found.*{reason}'):
        folder.read(labels=name)


@pytest.mark.parametrize('suffix', ('.xlsx', '.xls', '.ods'))
def test_a_spreadsheet_is_to_be_exported(folder, suffix):
    folder.add_images('a.jpg')
    folder.write(f'Labels{suffix}', 'PK\x03\x04')
    for answers in ({}, dict(labels=f'Labels{suffix}')):
        with pytest.raises(ValueError, match=rf'Labels\{suffix} .*: export it as CSV'):
            folder.read(**answers)


@pytest.mark.parametrize('suffix', ('csv', 'txt', 'json', 'jsonl', 'xml'))
def test_a_pointer_of_git_lfs_is_named(folder, suffix):
    """What a clone has in place of large files where git-lfs is not installed."""
    folder.add_images('a.jpg')
    folder.write(f'l.{suffix}', 'version https://git-lfs.github.com/spec/v1\noid sha256:1\n')
    for answers in ({}, dict(labels=f'l.{suffix}')):
        with pytest.raises(ValueError, match='git lfs pull'):
            folder.read(**answers)


def test_a_compressed_file_is_named(folder):
    folder.add_images('a.jpg')
    (folder.path / 'l.csv').write_bytes(gzip.compress(b'image,labels\na.jpg,cat\n'))
    for answers in ({}, dict(labels='l.csv')):
        with pytest.raises(ValueError, match=r'l\.csv.*gunzip'):
            folder.read(**answers)


def test_a_line_for_excel_is_named(folder):
    folder.add_images('a.jpg')
    folder.write('l.csv', 'sep=;\r\nimage;labels\r\na.jpg;cat\r\n')
    for answers in ({}, dict(labels='l.csv')):
        with pytest.raises(ValueError, match=r'l\.csv.*sep=;.*remove it'):
            folder.read(**answers)
    folder.write('l.csv', 'image;labels\r\na.jpg;cat\r\n')
    assert folder.labels() == {'a.jpg': ['cat']}


def test_a_broken_file_beside_those_of_each_image_is_named(folder):
    for name in 'ab':
        folder.add_images(f'{name}.jpg')
        folder.write(f'{name}.json', f'{{"imagePath": "{name}.jpg", "shapes": []}}')
    folder.write('a.json', '{"imagePath": "a.jpg", "shapes": [{"label": "cat"}]}')
    assert not any('not read' in note for note in folder.read().notes)
    folder.write('b.json', '{"imagePath": "b.jpg", "sha')
    with pytest.raises(ValueError, match=r'b\.json'):
        folder.read()


def test_the_damaged_file_of_a_split_is_an_error_and_other_files_are_named(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('train.json', coco('a.jpg'))
    folder.write('info.json', '{"version": 1}')
    assert any('not read as labels' in n and 'info.json' in n for n in folder.read().notes)
    folder.write('val.json', coco('b.jpg')[:-9])
    with pytest.raises(ValueError, match=r'val\.json.*does not end'):
        folder.read()


def test_nan_is_null(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.json', coco('a.jpg', 'b.jpg', area=float('nan')))
    assert folder.labels() == {'a.jpg': ['cat'], 'b.jpg': ['cat']}
    (folder.path / 'l.json').unlink()
    lines = '{"file_name": "a.jpg", "labels": ["NaN cat"]}\n{"file_name": "b.jpg", "labels": NaN}\n'
    folder.write('metadata.jsonl', lines)
    assert folder.labels() == {'a.jpg': ['NaN cat'], 'b.jpg': []}


def test_links_around_the_data_are_searched_once(folder):
    folder.add_images('images/1.jpg')
    folder.write('labels/l.csv', 'image,labels\n1.jpg,cat\n')
    (folder.path / 'labels/around').symlink_to(folder.path)
    (folder.path / 'again').symlink_to(folder.path / 'labels')
    (folder.path / 'dangling.csv').symlink_to(folder.path / 'none')
    assert folder.labels() == {'images/1.jpg': ['cat']}


def leaves(folder, **answers):
    """What each way through the questions ends with."""
    try:
        folder.read(**answers)
        yield 'read'
    except OpenQuestion as question:
        assert question.choices
        assert question.argument not in answers, 'asked twice'
        for choice in question.choices:
            yield from leaves(folder, **answers, **{question.argument: choice})
    except ValueError as error:  # a wrong answer
        yield str(error)


@pytest.mark.parametrize(
    ('files', 'ends'),
    (
        ({'l.csv': 'name,tags,other\na,x y,z\nb,none,z\n'}, 4),
        ({'l.csv': 'name,tags,cat,dog\na,x|y,1,-1\nb,x,0,\n', 'm.csv': 'a.jpg,cat\n'}, 8),
        ({'l.csv': 'image;a,b\na.jpg;0,1\nb.jpg;1,-1\n'}, 1),
        ({'x[1]_train.csv': 'image,l\na.jpg,k\n', 'x[1]_val.csv': 'image,l\nb.jpg,k\n'}, 1),
    ),
)
def test_every_answer_leads_on(folder, files, ends):
    folder.add_images('a.jpg', 'b.jpg')
    for name, text in files.items():
        folder.write(name, text)
    assert list(leaves(folder)).count('read') == ends
