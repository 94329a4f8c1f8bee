"""Splits from lists of images beside the labels."""

import pytest

NAMES = [f'images/{name}.jpg' for name in 'abcd']
CSV = 'image,x,y\na.jpg,1,0\nb.jpg,0,1\nc.jpg,1,1\nd.jpg,0,0\n'


@pytest.fixture
def labelled(folder):
    """Four images, whose labels say nothing about splits."""
    folder.add_images(*NAMES)
    folder.write('labels.csv', CSV)
    return folder


@pytest.mark.parametrize(
    'lists',
    [
        {'train_val_list.txt': 'a.jpg\nb.jpg\n', 'test_list.txt': 'c.jpg\r\nd.jpg'},
        {'splits/TrainImagelist.txt': '.\\images\\a.jpg\nb\n', 'TestImagelist.txt': 'c\nd\n'},
        {'train': 'a.jpg\nb.jpg\n', 'test': 'c.jpg\nd.jpg\n', 'trainval': 'a.jpg\n'},
        {'list_eval_partition.txt': 'a.jpg 0\nb.jpg 0\nc.jpg 2\nd.jpg 2\n'},
        {'list_eval_partition.csv': 'image_id,partition\na.jpg,0\nb.jpg,0\nc.jpg,2\nd.jpg,2\n'},
    ],
)
def test_lists_give_splits(labelled, lists):
    for name, text in lists.items():
        labelled.write(name, text)
    table = labelled.read(labels='labels.csv')
    assert table.splits == ('train', 'train', 'test', 'test')
    assert all(any(name in note for note in table.notes) for name in lists if name != 'trainval')


@pytest.mark.parametrize(
    'lists',
    [
        {},
        {'notes_train.txt': 'a.jpg\n'},
        {'train.txt': 'to be done\n'},
        {'fold1_train.txt': 'a.jpg\n', 'fold2_train.txt': 'b.jpg\n'},
        {'train.txt': ''},
    ],
)
def test_other_files_give_no_splits(labelled, lists):
    for name, text in lists.items():
        labelled.write(name, text)
    assert labelled.read(labels='labels.csv').splits == ('',) * 4


def test_several_lists_of_one_split_are_named(labelled):
    for number in (1, 2):
        labelled.write(f'train_{number}.txt', 'a.jpg\n')
        labelled.write(f'test_{number}.txt', 'b.jpg\n')
    table = labelled.read()
    assert set(table.splits) == {''}
    assert any('train_1.txt' in note and 'train_2.txt' in note for note in table.notes)


def test_what_is_wrong_with_lists_is_said(labelled):
    labelled.write('lists/train.txt', 'a.jpg\nb.jpg\ngone.jpg\n')
    labelled.write('lists/val.txt', 'b.jpg\n')
    table = labelled.read()
    assert table.splits == ('train', 'val', '', '')
    for text in ('1 of 3 lines', 'gone.jpg', '1 of 1 lines', '2 images are in no list'):
        assert any(text in note for note in table.notes)


def test_the_folder_whose_lists_name_the_most_images_counts(labelled):
    labelled.write('ImageSets/Layout/val.txt', 'a\n')
    for split, name in {'train': 'a', 'val': 'b', 'test': 'c'}.items():
        labelled.write(f'ImageSets/Main/{split}.txt', f'{name}\n')
    labelled.write('ImageSets/Segmentation/test.txt', 'd\n')
    assert labelled.read().splits == ('train', 'val', 'test', 'test')


def test_splits_of_the_labels_come_first(folder):
    folder.add_images(*NAMES)
    folder.write('labels.csv', CSV.replace('image,', 'split,image,').replace('\n', '\nval,', 4))
    folder.write('train.txt', 'a.jpg\n')
    assert folder.read().splits == ('val',) * 4


def test_labels_of_images_in_files_of_their_own_are_no_lists(folder):
    """As many as images, and 0 of YOLO's lines could be an image of this name."""
    names = [f'train_{number}' for number in range(12)]
    folder.add_images(*(f'images/{name}.jpg' for name in names), 'images/0.jpg')
    for name in names:
        folder.write(f'labels/{name}.txt', '0 0.5 0.5 0.1 0.1\n')
    folder.write('labels/classes.txt', 'cat\n')
    assert set(folder.read(unlisted='no').splits) == {''}
