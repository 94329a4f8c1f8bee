import json

import pytest

from mmpretrain_mldecoder.datasets.label_files import find_label_files


def lines(*records) -> str:
    return ''.join(json.dumps(record) + '\n' for record in records)


def test_hugging_face_in_csv_and_with_names_in_text(folder):
    folder.add_images('train/a.jpg', 'test/a.jpg')
    for split, label in (('train', 'cat, hot dog'), ('test', 'cat')):
        folder.write(f'{split}/metadata.csv', f'file_name,text\na.jpg,"{label}"\n')
    assert folder.labels() == {'test/a.jpg': ['cat'], 'train/a.jpg': ['cat', 'hot dog']}
    assert folder.read().splits == ('test', 'train')
    for split, label in (('train', 'cat, hot dog'), ('test', 'cat')):
        (folder.path / f'{split}/metadata.csv').unlink()
        folder.write(f'{split}/metadata.jsonl', lines(dict(file_name='a.jpg', text=label)))
    assert folder.labels() == {'test/a.jpg': ['cat'], 'train/a.jpg': ['cat', 'hot dog']}


LABELS = {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []}
RECORDS = [
    dict(path='x/a.jpg', tags=['cat', 'hot dog'], size=[8, 6], score=0.5),
    dict(path='x/b.jpg', tags=[], size=[8, 6], score=None),
]


@pytest.mark.parametrize(
    ('file', 'content'),
    [
        ('my.json', RECORDS),
        ('my.jsonl', RECORDS),
        ('my.json', [dict(each, size=[0.5, [6]], faces=[dict(x=1)]) for each in RECORDS]),
        ('my.json', {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []}),
        ('my.json', {'a.jpg': ['cat', 'hot dog'], 'b.jpg': None}),
        ('my.json', {'a.jpg': 'cat,hot dog', 'b.jpg': ''}),
        ('my.json', {'a.jpg': dict(labels=['cat', 'hot dog']), 'b.jpg': dict(labels=[])}),
        ('my.json', {'a.jpg': {'cat': 1, 'hot dog': True}, 'b.jpg': {'cat': 0, 'hot dog': False}}),
        (
            'my.json',
            [
                dict(image='a.jpg', annotations=[dict(label=k) for k in ('cat', 'hot dog')]),
                dict(image='b.jpg', annotations=[]),
            ],
        ),
        (
            'my.json',
            [
                dict(image='a.jpg', category='cat|hot dog', bbox=[0, 0, 8, 6]),
                dict(image='b.jpg', category='', bbox=[0, 0, 8, 6]),
            ],
        ),
    ],
)
def test_json_of_ones_own(folder, file, content):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write(file, lines(*content) if file == 'my.jsonl' else json.dumps(content))
    assert find_label_files(folder.path).format.name == 'json'
    assert folder.labels() == LABELS


def test_json_without_labels_is_no_label_file(folder):
    folder.add_images('a.jpg')
    for content in ([], {}, [1], ['a.jpg'], dict(file='a.jpg', labels=['cat']), [dict(a='cat')]):
        folder.write('my.json', json.dumps(content))
        with pytest.raises(ValueError, match='no labels found'):
            folder.read()
    folder.write('my.json', json.dumps([dict(image='a.jpg', faces=[dict(x=1)])]))
    with pytest.raises(ValueError, match='no column beside that of the images'):
        folder.read()
