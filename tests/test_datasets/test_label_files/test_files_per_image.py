import pytest

from mmpretrain_mldecoder.datasets.label_files import find_label_files


def voc(*objects) -> str:
    elements = ''.join(
        f'<object><name>{name}</name><difficult>{difficult}</difficult></object>'
        for name, difficult in objects
    )
    return f'<annotation><folder>x</folder>{elements}</annotation>'


def test_voc_asks_about_classes_in_difficult_objects_only(folder):
    folder.add_images('1.jpg', '2.jpg')
    folder.write('Annotations/1.xml', voc(('cat', 0), ('cat', 1), ('dog', 1)))
    folder.write('Annotations/2.xml', voc(('dog', 0)))
    folder.asked('difficult')
    for answer, labels in (('yes', ['cat', 'dog']), ('no', ['cat']), ('unknown', ['cat', '?dog'])):
        assert folder.labels(difficult=answer) == {'1.jpg': labels, '2.jpg': ['dog']}


def test_voc_reads_the_lists_of_its_splits(folder):
    names = [f'JPEGImages/{i}.jpg' for i in range(3)]
    folder.add_images(*names)
    for i in range(3):
        folder.write(f'Annotations/{i}.xml', voc(('cat', 0)))
    folder.write('ImageSets/Main/train.txt', '0\n')
    folder.write('ImageSets/Main/val.txt', '1 \n')
    folder.write('ImageSets/Main/trainval.txt', '0\n1\n')
    folder.write('ImageSets/Main/cat_train.txt', '0  1\n')
    assert folder.read().splits == ('train', 'val', '')


def test_voc_names_what_is_wrong_with_the_lists_of_its_splits(folder):
    folder.add_images('JPEGImages/1.jpg', 'JPEGImages/2.jpg', 'JPEGImages/3.jpg')
    for stem in '12':
        folder.write(
            f'Annotations/{stem}.xml', voc(('cat', 0)).replace('ion>', 'ion verified="yes">', 1)
        )
    folder.write('ImageSets/Main/train.txt', '1\n3\n')
    folder.write('ImageSets/Main/val.txt', '1\n')
    table = folder.read()
    assert table.classes == ('cat',)
    assert any('1 of 2 lines' in note and 'without labels' in note for note in table.notes)
    assert any('1 of 1 lines' in note and 'another split' in note for note in table.notes)


def test_voc_lists_have_zero_for_difficult_objects(folder):
    folder.add_images('1.jpg', '2.jpg')
    folder.write('ImageSets/Main/dog_test.txt', '1 0\n2 1\n')
    folder.asked('difficult')
    assert folder.labels(difficult='unknown') == {'1.jpg': ['?dog'], '2.jpg': ['dog']}
    (folder.path / 'Annotations').mkdir()  # empty, as Datumaro's voc_classification has it
    assert folder.labels(difficult='unknown') == {'1.jpg': ['?dog'], '2.jpg': ['dog']}
    folder.write('Annotations/2.xml', voc(('dog', 0)))
    assert folder.read(labels='Annotations').images == ('2.jpg',)
    assert folder.read().images == ('2.jpg',)


def test_voc_lists_may_name_images_with_blanks(folder):
    folder.add_images('im 1.jpg', 'im 2.jpg')
    folder.write('ImageSets/Main/dog_test.txt', 'im 1  -1\nim 2   1\n')
    assert folder.labels() == {'im 1.jpg': [], 'im 2.jpg': ['dog']}


def test_voc_beside_the_images_has_the_splits_of_the_folders(folder):
    for split in ('train', 'valid'):
        folder.add_images(f'{split}/a.v1.jpg')
        folder.write(f'{split}/a.v1.xml', voc(('cat', 0)))
    assert folder.read().splits == ('train', 'val')


@pytest.fixture
def yolo(folder):
    folder.add_images('images/1.jpg', 'images/2.jpg', 'images/3.jpg', 'others/9.jpg')
    folder.write('labels/1.txt', '2 0.5 0.5 0.1 0.1 0.2 0.2\n0 0.5 0.5 0.1 0.1\n')
    folder.write('labels/2.txt', '\n')
    folder.write('labels/classes.txt', 'a\nb\nc\nd\n')
    return folder


def test_yolo_asks_about_images_without_a_file(yolo):
    yolo.asked('unlisted')
    expected = {'images/1.jpg': ['a', 'c'], 'images/2.jpg': []}
    assert yolo.labels(unlisted='skip') == expected
    assert yolo.labels(unlisted='no') == expected | {'images/3.jpg': []}
    assert yolo.read(unlisted='no').classes == ('a', 'b', 'c', 'd')


def test_yolo_folders_below_labels_are_nested_as_images_are(folder):
    names = ('train/a/1', 'train/b/1', 'train/b/2', 'val/1')
    folder.add_images(*(f'images/{name}.jpg' for name in names))
    for number, name in enumerate(names):
        folder.write(f'labels/{name}.txt', f'{number} .5 .5 .2 .2\n')
    expected = {f'images/{name}.jpg': [str(i)] for i, name in enumerate(names)}
    assert folder.labels() == expected
    assert folder.read().splits == ('train', 'train', 'train', 'val')
    assert folder.labels(labels=find_label_files(folder.path).pattern) == expected
    folder.write('labels_v2/other.txt', '0 .5 .5 .2 .2\n')
    folder.add_images('images_v2/other.jpg')
    folder.asked('labels')


def test_yolo_folders_beside_images_are_one_dataset_unless_they_have_their_own_classes(folder):
    folder.add_images('a/1.jpg', 'b/c/1.jpg')
    for number, name in enumerate(('a/1.txt', 'b/c/1.txt')):
        folder.write(name, f'{number} .5 .5 .2 .2\n')
    folder.write('classes.txt', 'cat\ndog\n')
    expected = {'a/1.jpg': ['cat'], 'b/c/1.jpg': ['dog']}
    assert folder.labels() == expected
    assert folder.labels(labels=find_label_files(folder.path).pattern) == expected
    folder.write('a/classes.txt', 'dog\ncat\n')
    folder.asked('labels')


def test_yolo_without_names_has_numbers(yolo):
    (yolo.path / 'labels/classes.txt').unlink()
    assert yolo.read(unlisted='no').classes == ('0', '1', '2')
    yolo.write('names.txt', 'x\ny\nz\n')
    assert yolo.read(unlisted='no', class_names='names.txt').classes == ('x', 'y', 'z')
    yolo.write('names.txt', 'x\ny\n')
    with pytest.raises(ValueError, match='2 names'):
        yolo.read(unlisted='no', class_names='names.txt')


def test_yolo_names_in_yaml_are_texts(yolo):
    (yolo.path / 'labels/classes.txt').unlink()
    yolo.write('data.yaml', 'names: {"0": no, "1": on, "2": 01}')
    assert yolo.read(unlisted='no').classes == ('no', 'on', '01')
    yolo.write('data.yaml', 'names: [no, on]')
    notes = yolo.read(unlisted='no').notes
    assert any('data.yaml has 2' in note for note in notes)


def test_asks_which_of_several_lists_has_the_names(yolo):
    yolo.write('obj.names', 'x\ny\nz\n')
    yolo.write('broken.yaml', 'names: [')
    yolo.asked('class_names', unlisted='no')
    yolo.write('obj.names', 'x\ny\n')  # too short
    assert yolo.read(unlisted='no').classes == ('a', 'b', 'c', 'd')


@pytest.mark.parametrize(
    ('file', 'text'),
    {
        'category.json': '{\n  "y, z": 1,\n  "x": 0\n}\n',  # as of ML-GCN, and Keras
        'names.json': '{"names": {"0": "x", "1": "y, z"}}',
        'list.json': '["x", "y, z"]',
        'labels.csv': 'attribute_id,attribute_name\n0,x\n1,"y, z"\n',  # as of iMet
        'ids.txt': '0\tx\n1\ty, z\n',
        'from_one.txt': '1: x\n2: y, z\n',
    }.items(),
)
def test_names_and_numbers_in_one_file(folder, file, text):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write(file, text)
    folder.write('l.csv', 'image,labels\na.jpg,0 1\nb.jpg,1\n')
    named = folder.labels(labels='l.csv', class_names=file)
    assert named == {'a.jpg': ['x', 'y, z'], 'b.jpg': ['y, z']}
    folder.write('category.json', '{"x": 0, "y": 0}')
    with pytest.raises(ValueError, match='has 0 names'):
        folder.read(labels='l.csv', class_names='category.json')


def test_names_are_given_to_numbers_only(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('names.txt', '0 x\n1 y\n2 z\n')
    folder.write('l.csv', 'image,labels\na.jpg,0 2\nb.jpg,1\n')
    assert folder.read().classes == ('0', '1', '2')
    assert folder.labels(class_names='names.txt') == {'a.jpg': ['x', 'z'], 'b.jpg': ['y']}
    folder.write('l.csv', 'image,labels\na.jpg,0;cat\nb.jpg,1\n')
    with pytest.raises(ValueError, match="'cat'"):
        folder.read(class_names='names.txt')


def test_class_folders_may_lie_in_folders_of_splits(folder):
    folder.add_images('train/cat/1.jpg', 'train/dog/1.jpg', 'val/cat/2.jpg', 'val/cat/sub/3.jpg')
    table = folder.read()
    assert table.classes == ('cat', 'dog')
    assert table.splits == ('train', 'train', 'val', 'val')


def test_equal_names_in_class_folders_are_different_images(folder):
    folder.add_images('cat/1.jpg', 'dog/1.jpg')
    assert folder.labels() == {'cat/1.jpg': ['cat'], 'dog/1.jpg': ['dog']}


def test_folders_are_no_labels_beside_a_label_file(folder):
    folder.add_images('x/1.jpg', 'y/2.jpg')
    folder.write('labels.csv', 'image,labels\nx/1.jpg,cat\ny/2.jpg,dog\n')
    assert folder.read().classes == ('cat', 'dog')
    assert folder.read(format='folders').classes == ('x', 'y')


@pytest.mark.parametrize(
    'names',
    (
        ('a.jpg', 'x/b.jpg'),
        ('x/a.jpg',),
        ('train/a.jpg', 'val/b.jpg'),
        ('train_jpeg/a.jpg', 'test_jpeg/b.jpg'),
    ),
)
def test_other_folders_are_no_classes(folder, names):
    folder.add_images(*names)
    with pytest.raises(ValueError, match='no labels found'):
        folder.read()
