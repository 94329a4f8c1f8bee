import cv2
import numpy as np
import pytest
from mmpretrain.datasets import ImageNet
from mmpretrain.registry import DATASETS

from mmpretrain_mldecoder.datasets import SampleIndex

CROP = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=16),
    dict(type='RandomFlip', prob=0.5),
]


def build(root, split, classes, **kwargs):
    return DATASETS.build(
        dict(type='SeededImageNet', data_root=str(root), split=split, classes=classes, **kwargs)
    )


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (('train', 3), ('val', 1)):
        for folder in ('n02', 'n01'):
            (tmp_path / split / folder).mkdir(parents=True)
            for i in range(count):
                picture = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
                cv2.imwrite(str(tmp_path / split / folder / f'{folder}_{i}.JPEG'), picture)
    return tmp_path


@pytest.mark.parametrize(('split', 'labels'), [('train', [0, 0, 0, 1, 1, 1]), ('val', [0, 1])])
def test_folders_are_classes_in_alphabetical_order(folders, split, labels):
    dataset = build(folders, split, ['first', 'second'])
    assert isinstance(dataset, ImageNet)
    assert dataset.get_gt_labels().tolist() == labels
    assert dataset.get_data_info(0)['img_path'] == str(folders / split / 'n01' / 'n01_0.JPEG')


def test_the_list_in_meta_is_read(folders):
    (folders / 'meta').mkdir()
    (folders / 'meta' / 'val.txt').write_text('n02/n02_0.JPEG 7\n')
    dataset = DATASETS.build(dict(type='SeededImageNet', data_root=str(folders), split='val'))
    assert dataset.get_gt_labels().tolist() == [7]
    assert len(dataset.CLASSES) == 1000


def test_augmentation_follows_the_seed_of_the_index(folders):
    dataset = build(folders, 'train', ['first', 'second'], pipeline=CROP)
    first, again, other = (dataset[SampleIndex(2, seed)]['img'] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (16, 16, 3)
    assert (first != other).any()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_real_photos(shared_data, split):
    root = shared_data / 'imagenet_tiny'
    wnids = sorted(path.name for path in (root / split).iterdir())
    dataset = build(root, split, wnids, pipeline=CROP)
    assert len(dataset) == 16
    for i in range(16):
        sample = dataset[SampleIndex(i, seed=i)]
        assert f'/{wnids[sample["gt_label"]]}/' in sample['img_path']
        assert sample['img'].shape == (16, 16, 3)
