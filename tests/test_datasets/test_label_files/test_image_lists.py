import pytest


@pytest.mark.parametrize(
    'text',
    (
        'a.jpg\tcat|hot dog\nb.jpg\t\n',
        'a.jpg,"cat,hot dog"\nb.jpg,\n',
        'a.jpg|cat;hot dog\nb.jpg|\n',
        '\ufeffa.jpg;cat;hot dog\r\nb.jpg\r\n',
    ),
)
def test_lists_without_a_header(folder, text):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.txt', text)
    assert folder.labels() == {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []}


@pytest.mark.parametrize(
    'text',
    (
        'a.jpg,1,-1\nb.jpg,0,1\n',
        'a.jpg 1 -1 \r\nb.jpg 0 1\r\n',
        'a.jpg\t1,-1\nb.jpg\t0,1\n',
        'a.jpg 1,-1\nb.jpg 0,1\n',
    ),
)
def test_lists_of_values(folder, text):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', text)
    folder.write('classes.txt', 'cat\ndog\n')
    folder.asked('minus_one')
    assert folder.labels(minus_one='unknown') == {'a.jpg': ['cat', '?dog'], 'b.jpg': ['dog']}


@pytest.mark.parametrize('signs', (' ', ',', '\t', '  '))
def test_values_in_a_file_beside_that_of_the_images(folder, signs):
    folder.add_images('images/0.jpg', 'images/1.jpg', 'images/2 b.jpg')
    folder.write('train_img.txt', '2 b.jpg\n0.jpg\n')
    folder.write('train_label.txt', f'1{signs}0\n0{signs}1\n\n')
    folder.write('test_img.txt', '1.jpg\n')
    folder.write('test_label.txt', f'1{signs}1\n')
    folder.write('classes_names.txt', 'cat\ndog\n')
    folder.write('README.txt', 'Über\n', 'cp1252')
    assert folder.labels() == {
        'images/0.jpg': ['dog'],
        'images/1.jpg': ['cat', 'dog'],
        'images/2 b.jpg': ['cat'],
    }
    assert folder.read().splits == ('test', 'train', 'train')


def test_values_without_one_list_of_as_many_images_are_refused(folder):
    folder.add_images('0.jpg', '1.jpg')
    folder.write('label.txt', '1 0\n0 1\n')
    for text in ('0.jpg\n', '0.jpg\n1.jpg\n0.jpg\n'):
        folder.write('img.txt', text)
        with pytest.raises(ValueError, match='no labels found'):
            folder.read()
    folder.write('img.txt', '0.jpg\n1.jpg\n')
    assert folder.labels() == {'0.jpg': ['0'], '1.jpg': ['1']}
    folder.write('img_old.txt', '1.jpg\n0.jpg\n')
    with pytest.raises(ValueError, match='one list of images beside it'):
        folder.read(labels='label.txt', format='lists')


def test_parts_of_a_dataset_are_named_by_a_glob(folder):
    folder.add_images('a.jpg', 'b.jpg')
    record = '{{"imageGcsUri": "gs://b/{}.jpg", "classificationAnnotations": {}}}\n'
    for part, image in enumerate('ab'):
        text = record.format(image, '[{"displayName": "cat"}]')
        folder.write(f'data-0000{part}-of-00002.jsonl', text)
    folder.asked('labels')
    assert folder.labels(labels='data-*.jsonl') == {'a.jpg': ['cat'], 'b.jpg': ['cat']}
    folder.write('data-00001-of-00002.jsonl', record.format('b', '[]'))
    folder.asked('unlisted', labels='data-*.jsonl')  # "not yet labeled", says Google
    assert folder.labels(labels='data-*.jsonl', unlisted='skip') == {'a.jpg': ['cat']}
    folder.write('data.csv', 'image,labels\na.jpg,cat\n')
    folder.asked('labels', labels='data*')


def test_keys_of_json_in_no_format_are_named(folder):
    folder.add_images('a.jpg')
    folder.write('result.json', '{\n  "images": [{}],\n  "annotations": []}')
    with pytest.raises(ValueError, match=r'the keys images, annotations \(annotations empty\)'):
        folder.read()
    folder.write('result.json', '[{"image": 1, "annotations": []}]')
    with pytest.raises(ValueError, match='list of objects with the keys annotations, image'):
        folder.read()


def test_one_wrong_value_among_many_is_named(folder):
    """As the 2 in RAP's list in chufengt/ALM-pedestrian-attribute."""
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('list.txt', 'a.jpg 1 0 0 1\nb.jpg 0 0 2 1\n')
    with pytest.raises(ValueError, match="row 2 has '2' among the values of 4 classes"):
        folder.read()


def test_celeba(folder):
    """As torchvision's CelebA has it: the number of images, the names of the classes, values."""
    folder.add_images('img/000001.jpg', 'img/000002.jpg')
    folder.write(
        'list_attr_celeba.txt',
        '2\nBald Big_Nose Young \n000001.jpg -1  1  1\n000002.jpg -1 -1  1\n',
    )
    folder.asked('minus_one')
    assert folder.labels(minus_one='no') == {
        'img/000001.jpg': ['Big_Nose', 'Young'],
        'img/000002.jpg': ['Young'],
    }
    assert folder.read(minus_one='no').classes == ('Bald', 'Big_Nose', 'Young')


def test_boxes_of_a_list_are_no_classes(folder):
    """As keras-retinanet has it; an image without an object has empty cells."""
    folder.add_images('a.jpg', 'b.jpg', 'c.jpg')
    folder.write('boxes.csv', 'a.jpg,1,2,30,40,cat\na.jpg,5,6,7.5,8,dog\nb.jpg,,,,,\n')
    assert folder.labels() == {'a.jpg': ['cat', 'dog'], 'b.jpg': []}
    folder.write('boxes.csv', 'a.jpg,cat,1,2,30,40\nb.jpg,dog,1,2,3,4\n')
    assert folder.labels() == {'a.jpg': ['cat'], 'b.jpg': ['dog']}
    assert any('2 boxes' in note for note in folder.read().notes)
