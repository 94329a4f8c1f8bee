import pytest

from mmpretrain_mldecoder.datasets.label_files import LabelRow
from mmpretrain_mldecoder.datasets.label_files.image_names import ImageNames


@pytest.fixture
def images(folder):
    folder.add_images('img/train/1.jpg', 'img/val/1.jpg', 'img/a b.png', 'x.v2.jpg', 'x.JPG')
    return ImageNames(folder.path)


@pytest.mark.parametrize(
    ('name', 'below', 'path'),
    (
        ('img/a b.png', '', 'img/a b.png'),
        ('./img//a b.png', '', 'img/a b.png'),
        ('a b.png', 'img', 'img/a b.png'),
        ('../a b.png', 'img/train', 'img/a b.png'),
        ('a%20b.png', '', 'img/a b.png'),
        (r'C:\data\img\a b.png', '', 'img/a b.png'),
        ('/home/somebody/img/a b', '', 'img/a b.png'),
        ('gs://bucket/other/a b.png', '', 'img/a b.png'),
        ('https://host/x/a%20b.png?size=7', '', 'img/a b.png'),
        ('/data/upload/7/0123abcd-a b.png', '', 'img/a b.png'),
        ('/data/local-files/?d=img/a b.png', '', 'img/a b.png'),
        ('train/1', '', 'img/train/1.jpg'),
        ('other/img/train/1.jpg', '', 'img/train/1.jpg'),
        ('x.v2', '', 'x.v2.jpg'),
        ('x', '', 'x.JPG'),
        ('1.jpg', '', None),
        ('1.jpg', 'img/val', 'img/val/1.jpg'),
        ('../../../etc/passwd', '', None),
        ('', '', None),
        ('a\0b', '', None),
    ),
)
def test_finds_an_image(images, name, below, path):
    assert images.find(name, below)[0] == path


def test_many_images_of_one_name_are_found_quickly(tmp_path):
    images = ImageNames(tmp_path)
    images.paths = [f'{i}/view.jpg' for i in range(20_000)]
    for i in range(20_000):
        assert images.find(f'root/{i}/view.jpg')[0] == f'{i}/view.jpg'
    assert images.find('none/view.jpg')[0] is None


def test_the_folder_of_the_split_decides(images):
    assert images.find('1.jpg', split='val') == ('img/val/1.jpg', False)


def test_rows_whose_names_end_alike_are_left_out(folder):
    folder.add_images('1.jpg', '2.jpg')
    images = ImageNames(folder.path)
    names = ('p/1.jpg', 'q/1.jpg', 'p/2.jpg', 'none.jpg')
    rows, missing, notes = images.resolve([(LabelRow(name, {}), '') for name in names])
    assert [row.image for row in rows] == ['2.jpg']
    assert sorted(missing) == ['none.jpg', 'p/1.jpg', 'q/1.jpg']
    assert any('p/1.jpg and q/1.jpg' in note for note in notes)
    assert any('by the end of the name' in note for note in notes)


def test_missing_images_are_described_with_near_names(folder):
    folder.add_images('a/Cat.jpg')
    assert 'Cat.jpg' in ImageNames(folder.path).describe_missing(['a/cat.jpg'])
