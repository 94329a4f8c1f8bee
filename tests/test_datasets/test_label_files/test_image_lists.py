import pytest


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
