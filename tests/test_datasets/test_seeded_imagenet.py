from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.datasets import ImageNet
from mmpretrain.registry import DATASETS

from mmpretrain_mldecoder.datasets import SampleIndex

ROOT = Path(__file__).parents[2]
CROP = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=16),
    dict(type='RandomFlip', prob=0.5),
]


def build(root, **kwargs):
    return DATASETS.build(dict(type='SeededImageNet', data_root=str(root), **kwargs))


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (('train', 3), ('val', 1)):
        for folder in ('n02', 'n01'):
            (tmp_path / split / folder).mkdir(parents=True)
            for i in range(count):
                image = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
                cv2.imwrite(str(tmp_path / split / folder / f'{folder}_{i}.JPEG'), image)
    return tmp_path


@pytest.mark.parametrize(('split', 'labels'), [('train', [0, 0, 0, 1, 1, 1]), ('val', [0, 1])])
def test_folders_are_classes_in_alphabetical_order(folders, split, labels):
    dataset = build(folders, split=split, classes=['first', 'second'])
    assert isinstance(dataset, ImageNet)
    assert dataset.get_gt_labels().tolist() == labels
    assert dataset.get_data_info(0)['img_path'] == str(folders / split / 'n01' / 'n01_0.JPEG')


def test_the_list_in_meta_is_read(folders):
    (folders / 'meta').mkdir()
    (folders / 'meta' / 'val.txt').write_text('n02/n02_0.JPEG 7\n')
    dataset = build(folders, split='val')
    assert dataset.get_gt_labels().tolist() == [7]
    assert len(dataset.CLASSES) == 1000


@pytest.fixture
def lists(tmp_path):
    """PaddleClas' layout: lists beside the folders, validation photos in one folder."""
    image = np.zeros((8, 8, 3), np.uint8)
    for name in ('train/n01/a b.JPEG', 'train/n02/c.JPEG', 'val/v_1.JPEG', 'val/v_2.JPEG'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / 'train_list.txt').write_text('train/n02/c.JPEG 1\ntrain/n01/a b.JPEG 0\n')
    (tmp_path / 'val_list.txt').write_text('val/v_1.JPEG 65\nval/v_2.JPEG 999\n')
    return tmp_path


def test_lists_of_paddleclas(lists):
    dataset = build(lists, ann_file='train_list.txt')
    samples = [(info['img_path'], info['gt_label']) for info in map(dataset.get_data_info, (0, 1))]
    expected = [('train/n02/c.JPEG', 1), ('train/n01/a b.JPEG', 0)]
    assert samples == [(str(lists / path), label) for path, label in expected]


def test_options_turn_a_row_to_the_lists(lists):
    """What the page says, with options as the command line brings them."""
    cfg = Config.fromfile(ROOT / 'configs/imagenet/r50vd_in1k.py')
    options = dict(data_root=str(lists), ann_file='val_list.txt', split='')
    cfg.merge_from_dict({f'test_dataloader.dataset.{key}': v for key, v in options.items()})
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    assert dataset.get_gt_labels().tolist() == [65, 999]
    assert dataset[1]['inputs'].shape == (3, 224, 224)


def test_list_in_the_current_folder(lists, monkeypatch):
    monkeypatch.chdir(lists / 'val')
    (lists / 'val/list.txt').write_text('v_2.JPEG 3\n')
    dataset = DATASETS.build(dict(type='SeededImageNet', ann_file='list.txt'))
    assert dataset.get_gt_labels().tolist() == [3]


@pytest.mark.parametrize(
    'line', ['val/v_1.JPEG 1000', 'val/v_1.JPEG', 'val/v_1.JPEG -1', 'val/v_1.JPEG cat', '']
)
def test_a_line_that_is_off_is_named(lists, line):
    (lists / 'val_list.txt').write_text(f'val/v_2.JPEG 5\n{line}\n')
    with pytest.raises(ValueError, match=r'val_list.txt, line 2: .* a label from 0 to 999'):
        build(lists, ann_file='val_list.txt')


def test_a_list_that_is_not_utf8_is_named(lists):
    (lists / 'val_list.txt').write_text('val/v_2.JPEG 5\n', encoding='utf-16')
    with pytest.raises(ValueError, match=r'val_list\.txt is not UTF-8 \(byte 0\)'):
        build(lists, ann_file='val_list.txt')


def test_missing_files_are_counted(lists):
    with pytest.raises(FileNotFoundError, match=r'no_list\.txt'):
        build(lists, ann_file='no_list.txt')
    (lists / 'val_list.txt').write_text('val/v_1.JPEG 5\nval/w.JPEG 5\nelsewhere/v_1.JPEG 5\n')
    with pytest.raises(FileNotFoundError, match=r'2 of 3 images .* first: val/w.JPEG'):
        build(lists, ann_file='val_list.txt')


def test_names_in_a_list_that_are_nearly_right(lists):
    (lists / 'val_list.txt').write_text('val\\v_1.JPEG 5\nval%2Fv_2.JPEG 6\n')
    dataset = build(lists, ann_file='val_list.txt')
    paths = [dataset.get_data_info(i)['img_path'] for i in (0, 1)]
    assert paths == [str(lists / 'val/v_1.JPEG'), str(lists / 'val/v_2.JPEG')]


def test_augmentation_follows_the_seed_of_the_index(folders):
    dataset = build(folders, split='train', classes=['first', 'second'], pipeline=CROP)
    first, again, other = (dataset[SampleIndex(2, seed)]['img'] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (16, 16, 3)
    assert (first != other).any()
