"""Label files with labels changed: what they should be is written out by hand."""

import csv
import json

import pytest

from mmpretrain_mldecoder.datasets.label_files import Answers, write_corrected

UNKNOWN = dict(empty='unknown')
CSL = dict(minus_one='unknown')
VOC = dict(minus_one='no', zero='unknown')
NO_FINDING = dict(no_label=('No Finding',))
# file, lines before, answers, lines after: a.jpg gets a cat, b.jpg loses its dog
LINES = [
    ('my.csv', ['image,labels', 'a.jpg,dog', '"b.jpg","dog, cat"', 'c.jpg,'], {},
     ['image,labels', 'a.jpg,"dog, cat"', 'b.jpg,cat', 'c.jpg,']),
    ('my.csv', ['image,tags,x', 'a.jpg,dog, 1', 'b.jpg,cat|dog,2', 'c.jpg, , 3'], {},
     ['image,tags,x', 'a.jpg,dog|cat,1', 'b.jpg,cat,2', 'c.jpg, , 3']),
    ('my.csv', ['image,labels', "a.jpg,['dog']", """b.jpg,"['dog', 'cat']\"""", 'c.jpg,[]'], {},
     ['image,labels', """a.jpg,"['dog', 'cat']\"""", "b.jpg,['cat']", 'c.jpg,[]']),
    ('my.csv', ['image,cat,dog', 'a.jpg,0,1', 'b.jpg,1,1', 'c.jpg,,0'], UNKNOWN,
     ['image,cat,dog', 'a.jpg,1,1', 'b.jpg,1,0', 'c.jpg,,0']),
    ('my.csv', ['image;cat;dog', 'a.jpg;-1;1', 'b.jpg;1;1', 'c.jpg;0;-1'], VOC,
     ['image;cat;dog', 'a.jpg;1;1', 'b.jpg;1;-1', 'c.jpg;0;-1']),
    ('my.csv', ['image,cat,dog', 'a.jpg,-1,1', 'b.jpg,1,1', 'c.jpg,-1,0'], CSL,
     ['image,cat,dog', 'a.jpg,1,1', 'b.jpg,1,0', 'c.jpg,-1,0']),
    ('my.csv', ['image,labels', 'a.jpg,No Finding', 'b.jpg,dog', 'c.jpg,cat|dog'], NO_FINDING,
     ['image,labels', 'a.jpg,cat', 'b.jpg,No Finding', 'c.jpg,cat|dog']),
    ('train/_classes.csv', ['filename, cat, dog', 'a.jpg, 0, 1', 'b.jpg, 1, 1', 'c.jpg, 0, 0'], {},
     ['filename, cat, dog', 'a.jpg,1,1', 'b.jpg,1,0', 'c.jpg, 0, 0']),
    ('metadata.jsonl', ['{"file_name": "a.jpg", "tags": ["dog"], "x": 1}',
                        '{"file_name": "b.jpg", "tags": ["dog", "cat"]}',
                        '{"file_name":"c.jpg","tags":[]}'], {},
     ['{"file_name": "a.jpg", "tags": ["dog", "cat"], "x": 1}',
      '{"file_name": "b.jpg", "tags": ["cat"]}', '{"file_name":"c.jpg","tags":[]}']),
    ('list.txt', ['a.jpg,dog', 'b.jpg,dog,cat', 'c.jpg'], {},
     ['a.jpg,dog,cat', 'b.jpg,cat', 'c.jpg']),
    ('list.txt', ['a.jpg\tdog', 'b.jpg\tdog;cat', 'c.jpg\tcat'], {},
     ['a.jpg\tdog;cat', 'b.jpg\tcat', 'c.jpg\tcat']),
    ('list.txt', ['a.jpg\t0,1', 'b.jpg\t1,1', 'c.jpg\t0,0'], {},
     ['a.jpg\t1,1', 'b.jpg\t1,0', 'c.jpg\t0,0']),
    ('list', ['a 2', 'b 2 1', 'c'], {}, ['a 2 1', 'b 1', 'c']),  # numbered from 1 on
    ('list.txt', ['a.jpg 0 1', 'b.jpg 1 1', 'c.jpg 0 0'], {},
     ['a.jpg 1 1', 'b.jpg 1 0', 'c.jpg 0 0']),
]  # fmt: skip
IMAGES = [dict(id=5, file_name='a.jpg'), dict(id=6, file_name='b.jpg')]
CATEGORIES = [dict(id=1, name='cat'), dict(id=7, name='dog')]
DOG = dict(id=1, image_id=5, category_id=7, bbox=[0, 0, 1, 1])
CAT_OF_B = dict(id=3, image_id=6, category_id=1)
DOGS_OF_B = [dict(id=i, image_id=6, category_id=7) for i in (2, 4)]
UNKNOWN_CAT = dict(id='x', image_id=5, category_id='cat', ignore=1)
NAMED_DOGS_OF_B = [dict(id=i, image_id=6, category_id='dog') for i in ('y', None)]
# content before and after
OBJECTS = [
    (dict(metainfo=dict(classes=['cat', 'dog']), data_list=[
        dict(img_path='a.jpg', gt_label=1),
        dict(img_path='b.jpg', gt_label=[0, 1], gt_score=[1, 1])]),
     dict(metainfo=dict(classes=['cat', 'dog']), data_list=[
         dict(img_path='a.jpg', gt_label=[0, 1]),
         dict(img_path='b.jpg', gt_label=[0], gt_score=[1, 0])])),
    (dict(metainfo=dict(classes=['cat', 'dog']), data_list=[
        dict(img_path='a.jpg', gt_label=[1], gt_score=[-1, 1]),
        dict(img_path='b.jpg', gt_label=[1], gt_score=[-1, 1])]),
     dict(metainfo=dict(classes=['cat', 'dog']), data_list=[
         dict(img_path='a.jpg', gt_label=[0, 1], gt_score=[1, 1]),
         dict(img_path='b.jpg', gt_label=[], gt_score=[-1, 0])])),
    ([dict(image='a.jpg', tags=['dog']), dict(image='b.jpg', tags=['dog', 'cat'], size=[8, 6])],
     [dict(image='a.jpg', tags=['dog', 'cat']), dict(image='b.jpg', tags=['cat'], size=[8, 6])]),
    ({'a.jpg': ['dog'], 'b.jpg': ['dog', 'cat'], 'c.jpg': None},
     {'a.jpg': ['dog', 'cat'], 'b.jpg': ['cat'], 'c.jpg': None}),
    ({'a.jpg': dict(tags=['dog'], x=1), 'b.jpg': dict(tags=['cat', 'dog'])},
     {'a.jpg': dict(tags=['dog', 'cat'], x=1), 'b.jpg': dict(tags=['cat'])}),
    (dict(classes=['cat', 'dog'], labels=dict(a=1, b=['dog', 'cat'], c=None)),
     dict(classes=['cat', 'dog'], labels=dict(a=['dog', 'cat'], b=['cat'], c=None))),
    (dict(images=IMAGES, categories=CATEGORIES, annotations=[DOG, *DOGS_OF_B, CAT_OF_B]),
     dict(images=IMAGES, categories=CATEGORIES,
          annotations=[DOG, CAT_OF_B, dict(id=5, image_id=5, category_id=1)])),
    (dict(images=IMAGES, categories=CATEGORIES,
          annotations=[UNKNOWN_CAT, CAT_OF_B, *NAMED_DOGS_OF_B]),
     dict(images=IMAGES, categories=CATEGORIES,
          annotations=[UNKNOWN_CAT, CAT_OF_B, dict(id=4, image_id=5, category_id=1)])),
]  # fmt: skip


def correct(folder, out, corrections, **answers):
    table = folder.read(**answers)
    return write_corrected(folder.path, Answers(**answers), table, corrections, out)


def check_corrected(folder, out, file, before, after, **answers):
    prefix = file.rpartition('/')[0]
    paths = [f'{prefix}/{image}'.lstrip('/') for image in ('a.jpg', 'b.jpg', 'c.jpg')]
    folder.add_images(*paths)
    folder.write('label_list.txt', 'cat\ndog\n')
    folder.write(file, before)
    written, why = correct(folder, out, {paths[0]: {'cat': 1}, paths[1]: {'dog': 0}}, **answers)
    assert (written, why) == ([out / file], '')
    assert written[0].read_bytes().decode() == after
    assert (folder.path / file).read_bytes().decode() == before


@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize(('file', 'before', 'answers', 'after'), LINES)
def test_lines_without_a_change_stay(file, before, answers, after, end, folder, tmp_path_factory):
    texts = (''.join(line + end for line in lines) for lines in (before, after))
    check_corrected(folder, tmp_path_factory.mktemp('out'), file, *texts, **answers)


@pytest.mark.parametrize('style', [{}, dict(indent=2), dict(separators=(',', ':'))])
@pytest.mark.parametrize(('before', 'after'), OBJECTS)
def test_json_keeps_its_style(before, after, style, folder, tmp_path_factory):
    texts = (json.dumps(content, **style) for content in (before, after))
    check_corrected(folder, tmp_path_factory.mktemp('out'), 'labels.json', *texts, unlisted='no')


def test_only_files_with_changes_are_written_and_keep_their_encoding(folder, tmp_path):
    out = tmp_path / 'out'
    folder.add_images('train/ä.jpg', 'val/b.jpg')
    folder.write('train.csv', 'image,labels\nä.jpg,Bär\n', 'utf-16')
    folder.write('val.csv', 'image,labels\nb.jpg,Bär\n', 'utf-8-sig')
    corrections = {'train/ä.jpg': {'Bär': 0}}
    written, _ = correct(folder, out, corrections, separator='|')
    assert written == [out / 'train.csv']
    assert written[0].read_bytes() == 'image,labels\nä.jpg,\n'.encode('utf-16')


def test_what_cannot_be_corrected_in_its_format_becomes_csv(folder, tmp_path):
    out = tmp_path / 'out'
    folder.add_images('cat/1.jpg', 'dog/2.jpg')
    written, why = correct(folder, out, {'cat/1.jpg': {'dog': 1, 'cat': 0}})
    assert written == [out / 'labels.csv']
    assert 'a folder per class' in why
    assert list(csv.reader(written[0].open())) == [
        ['image', 'cat', 'dog'],
        ['cat/1.jpg', '0', '1'],
        ['dog/2.jpg', '0', '1'],
    ]
    assert folder.labels(labels=str(written[0])) == {'cat/1.jpg': ['dog'], 'dog/2.jpg': ['dog']}


def test_a_class_that_one_file_lacks_has_no_place_in_it(folder, tmp_path):
    for split, categories in (('train', CATEGORIES), ('val', CATEGORIES[:1])):
        folder.add_images(f'{split}/{split}.jpg')
        annotation = dict(id=1, image_id=1, category_id=1)
        image = dict(id=1, file_name=f'{split}.jpg')
        content = dict(images=[image], annotations=[annotation], categories=categories)
        folder.write(f'instances_{split}.json', json.dumps(content))
    written, _ = correct(folder, tmp_path / 'out', {'val/val.jpg': {'dog': 1}})
    assert written == [tmp_path / 'out/labels.csv']


def test_a_file_that_would_not_read_as_wanted_becomes_csv(folder, tmp_path):
    folder.add_images('1.jpg', '2.jpg')
    folder.write('my.csv', 'image,labels\n1.jpg,cat\n2.jpg,dog\n')
    # one label a cell, says the user, so that a second one has no place
    written, why = correct(folder, tmp_path / 'out', {'1.jpg': {'dog': 1}}, separator='none')
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['labels.csv'] and why
    answers = dict(labels=str(written[0]), separator='none')
    assert folder.labels(**answers) == {'1.jpg': ['cat', 'dog'], '2.jpg': ['dog']}
