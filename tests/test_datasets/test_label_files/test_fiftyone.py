import json

import pytest

EMPTY = dict(_cls='Classifications', classifications=[])
CAT = dict(_cls='Classification', label='cat')
DOGS = dict(_cls='Detections', detections=[dict(label='dog', bounding_box=[0, 0, 1, 1])] * 2)


def sample(name, *tags, **fields):
    return dict(filepath=f'data/{name}', tags=tags, _media_type='image', **fields)


@pytest.fixture
def write(folder):
    def write(*samples):
        folder.add_images('data/a.jpg', 'data/b.jpg', 'data/c.jpg')
        folder.write('samples.json', json.dumps(dict(samples=samples)))
        folder.write('metadata.json', json.dumps(dict(name='pets')))

    return write


def test_reads_samples_with_splits(folder, write):
    write(
        sample('a.jpg', 'checked', 'train', tags_1=CAT, ok=True),
        sample('b.jpg', 'test', tags_1=EMPTY),
        sample('c.jpg'),
    )
    assert set(folder.asked('unlisted')) == {'no', 'skip'}
    assert folder.labels(unlisted='skip') == {'data/a.jpg': ['cat'], 'data/b.jpg': []}
    assert folder.read(unlisted='no').splits == ('train', 'test', '')


def test_asks_which_field_has_the_labels(folder, write):
    write(sample('a.jpg', one=CAT, boxes=DOGS), sample('b.jpg', one=CAT, boxes=None))
    assert set(folder.asked('label_columns')) == {('one',), ('boxes',), ('one', 'boxes')}
    answers = dict(label_columns=('boxes',), unlisted='no')
    assert folder.labels(**answers) == {'data/a.jpg': ['dog'], 'data/b.jpg': []}
    with pytest.raises(ValueError, match="the field 'two'; it has in one, boxes"):
        folder.read(label_columns=('two',))


def test_null_may_be_no_label_or_not_labelled(folder):
    folder.add_images('a.jpg', 'b.jpg', 'c.jpg')
    labels = dict(a=['cat'], b=[], c=None)
    folder.write('labels.json', json.dumps(dict(classes=None, labels=labels)))
    folder.asked('unlisted')
    assert folder.labels(unlisted='skip') == {'a.jpg': ['cat'], 'b.jpg': []}
    assert folder.labels(unlisted='no')['c.jpg'] == []


@pytest.mark.parametrize('name', ('_unlabeled', 'Unlabelled '))
def test_a_folder_of_images_without_a_label_is_asked_about(folder, name):
    folder.add_images('train/a.jpg', 'cat/b.jpg', f'{name}/c.jpg')
    with pytest.raises(ValueError, match='`format` folders'):
        folder.read()
    assert (name.strip(),) in [
        tuple(map(str.strip, k)) for k in folder.asked('no_label', format='folders')
    ]
    labels = folder.labels(format='folders', no_label=(name,))
    assert labels == {'train/a.jpg': ['train'], 'cat/b.jpg': ['cat'], f'{name}/c.jpg': []}
