import csv
import io
import json

import pytest


def result(name='tags', kind='choices', *labels):
    return dict(from_name=name, to_name='image', type=kind, value={kind: list(labels)})


def task(name, *annotations, **data):
    return dict(
        id=1, data=dict(image=name, **data), annotations=list(annotations), predictions=[{}]
    )


def annotation(*results, was_cancelled=False):
    return dict(result=list(results), was_cancelled=was_cancelled)


@pytest.fixture
def write(folder):
    def write(*tasks):
        folder.add_images('a.jpg', 'b.jpg')
        folder.write('export.json', json.dumps(tasks))

    return write


def test_skips_what_is_not_annotated(folder, write):
    write(
        task('a.jpg', annotation(result('tags', 'choices', 'cat'))),
        task('b.jpg'),
        task('c.jpg', annotation(result('tags', 'choices', 'dog'), was_cancelled=True)),
    )
    table = folder.read()
    assert (table.images, table.classes) == (('a.jpg',), ('cat',))
    assert any('2 tasks' in note for note in table.notes)


def test_predictions_are_no_labels(folder, write):
    write(task('a.jpg'), dict(task('b.jpg'), annotations=None))
    with pytest.raises(ValueError, match='Predictions are no labels'):
        folder.read()


def test_asks_how_annotators_that_differ_count(folder, write):
    one = annotation(result('tags', 'choices', 'cat', 'dog'))
    other = annotation(result('tags', 'choices', 'cat'))
    write(task('a.jpg', one, other), task('b.jpg', one, one))
    folder.asked('annotators')
    for answer, labels in (('yes', ['cat', 'dog']), ('no', ['cat']), ('unknown', ['cat', '?dog'])):
        assert folder.labels(annotators=answer) == {'a.jpg': labels, 'b.jpg': ['cat', 'dog']}
    write(task('a.jpg', one, one))
    assert folder.labels() == {'a.jpg': ['cat', 'dog']}


def test_asks_which_names_and_whether_boxes_are_labels(folder, write):
    write(
        task(
            'a.jpg',
            annotation(
                result('tags', 'choices', 'cat'),
                result('quality', 'choices', 'good'),
                result('boxes', 'rectanglelabels', 'dog'),
            ),
        )
    )
    folder.asked('boxes')
    assert set(folder.asked('label_columns', boxes='no')) == {
        ('tags',),
        ('quality',),
        ('tags', 'quality'),
    }
    assert folder.labels(boxes='no', label_columns=('tags',)) == {'a.jpg': ['cat']}
    assert folder.labels(boxes='yes', label_columns=('tags', 'boxes')) == {'a.jpg': ['cat', 'dog']}


def test_asks_for_the_key_of_the_image(folder, write):
    label = annotation(result('tags', 'choices', 'cat'))
    write(task('x/a.jpg', label, mask='x/b.jpg', text='a cat'))
    assert set(folder.asked('image_column')) == {'image', 'mask'}
    assert folder.labels(image_column='mask') == {'b.jpg': ['cat']}


def test_a_path_of_a_taxonomy_is_a_label(folder, write):
    write(task('a.jpg', annotation(result('tags', 'taxonomy', ['animal', 'cat'], ['indoors']))))
    assert folder.labels() == {'a.jpg': ['animal/cat', 'indoors']}


RECORDS = [
    dict(id=1, image='/data/upload/1/01234567-a.jpg', tags=dict(choices=['cat', 'hot dog'])),
    dict(id=2, image='/data/local-files/?d=x%5Cb.jpg', tags='cat'),
]


def test_reads_json_min(folder):
    folder.add_images('a.jpg', 'b.jpg')
    records = [dict(each, annotator=1, annotation_id=7, lead_time=2.5) for each in RECORDS]
    folder.write('min.json', json.dumps(records))
    assert folder.labels() == {'a.jpg': ['cat', 'hot dog'], 'b.jpg': ['cat']}
    without = [{key: v for key, v in each.items() if key != 'id'} for each in records]
    folder.write('min.json', json.dumps(without))
    assert folder.labels() == {'a.jpg': ['cat', 'hot dog'], 'b.jpg': ['cat']}


def test_uploaded_files_have_other_names(folder):
    folder.add_images('im 1 (new).jpg', 'im_2.jpg')
    tags = result('tags', 'choices', 'cat')
    tasks = [
        task(f'/data/upload/1/01234567-im_{end}', annotation(tags))
        for end in ('1_new.jpg', '2.jpg')
    ]
    folder.write('export.json', json.dumps(tasks))
    assert folder.labels() == {'im 1 (new).jpg': ['cat'], 'im_2.jpg': ['cat']}
    (folder.path / 'export.json').unlink()
    folder.write('classes.txt', 'cat\n')
    for end in ('1_new', '2'):
        folder.write(f'labels/01234567-im_{end}.txt', '0 .5 .5 .1 .1\n')
    assert folder.labels() == {'im 1 (new).jpg': ['cat'], 'im_2.jpg': ['cat']}


@pytest.mark.parametrize('suffix', ('csv', 'tsv'))
@pytest.mark.parametrize('delimiter', (',', '\t'))
def test_reads_csv(folder, delimiter, suffix):
    folder.add_images('a.jpg', 'b.jpg')
    text = io.StringIO(newline='')
    names = ['annotation_id', 'annotator', 'id', 'image', 'tags']
    writer = csv.DictWriter(text, names, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    for each in RECORDS:
        tags = each['tags'] if isinstance(each['tags'], str) else json.dumps(each['tags'])
        writer.writerow(dict(each, tags=tags, annotator='a@b.c', annotation_id=7))
    folder.write(f'export.{suffix}', text.getvalue())
    assert folder.labels() == {'a.jpg': ['cat', 'hot dog'], 'b.jpg': ['cat']}
