"""COCOMultiLabel says what is missing or wrong, and starts once it is mended."""

import json
import sys

import pytest
from coco_dataset import build, check_samples, infos, plain_samples

from mmpretrain_mldecoder.datasets import COCOMultiLabel


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(classes=['bee', 'Catt']),
            r"instances_train2017\.json has no category 'Catt' \(near: cat\)\. "
            r'Correct `classes`; its categories are: ant, bee, cat, dog\.',
        ),
        (dict(classes=['xylophone']), r"has no category 'xylophone'\. Correct"),
        (dict(classes=['bee', 'bee']), r"`classes` has 'bee' twice"),
        (dict(min_box_area=-1), r'min_box_area must be at least 0, got -1'),
        (
            dict(min_box_area=1e6, keep_unlabelled=False),
            r'none of the 12 images has a label and keep_unlabelled=False drops them all',
        ),
    ],
)
def test_errors_of_the_arguments(fake_coco, options, message):
    with pytest.raises(ValueError, match=message):
        build(fake_coco, **options)


def test_missing_annotation_file(fake_coco):
    with pytest.raises(FileNotFoundError, match=r'instances_test2017\.json.*`ann_file`'):
        build(fake_coco, 'test')


def test_missing_image_folder(fake_coco):
    (fake_coco / 'train2017').rename(fake_coco / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=r'train2017 is not a folder.*`data_prefix`.*coco'):
        build(fake_coco)


def test_missing_images(fake_coco):
    for i in (4, 2):
        (fake_coco / 'train2017' / f'{i:012d}.jpg').unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r'2 of 12 images of .*train2017\.json are not in .*train2017, '
        r'first: 000000000002\.jpg\. .*`data_prefix`.*`data_root`',
    ):
        build(fake_coco)


def test_an_unlabelled_image_that_is_dropped_may_be_missing(fake_coco):
    (fake_coco / 'train2017' / f'{0:012d}.jpg').unlink()
    assert len(build(fake_coco, keep_unlabelled=False)) == 11


def test_without_root_and_prefix_the_working_directory_is_searched(fake_coco, monkeypatch):
    monkeypatch.chdir(fake_coco / 'val2017')
    dataset = COCOMultiLabel('../annotations/instances_val2017.json')
    assert dataset.get_data_info(0)['img_path'] == f'{0:012d}.jpg'


def test_only_the_coco_object_needs_pycocotools(fake_coco, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pycocotools.coco', None)
    dataset = build(fake_coco)
    with pytest.raises(ImportError, match='pip install pycocotools'):
        dataset.coco  # noqa: B018


def test_a_failed_start_can_be_tried_again(fake_coco):
    dataset = build(fake_coco, lazy_init=True)
    (fake_coco / 'train2017').rename(fake_coco / 'elsewhere')
    with pytest.raises(FileNotFoundError):
        dataset.full_init()
    assert dataset.serialize_data
    (fake_coco / 'elsewhere').rename(fake_coco / 'train2017')
    check_samples(infos(dataset), plain_samples(fake_coco, 'train'))


@pytest.mark.parametrize('name', ['\x1b[2J.jpg', 'a\0b.jpg', 'a\nb.jpg', 'gpj.\u202eexe'])
def test_names_in_errors_move_no_cursor(fake_coco, name):
    path = fake_coco / 'annotations' / 'instances_train2017.json'
    content = json.loads(path.read_text())
    content['images'][1]['file_name'] = name
    content['categories'][0]['name'] = name
    path.write_text(json.dumps(content))
    for options in (dict(), dict(classes=['xylophone']), dict(classes=[name[:-1] + '_'])):
        with pytest.raises((FileNotFoundError, ValueError)) as caught:
            build(fake_coco, **options)
        assert str(caught.value).isprintable()
