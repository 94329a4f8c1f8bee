import copy
import json

import numpy as np
import pytest
from coco_dataset import coco_split
from faulty_images import encoded, photo, write_dataset
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS

from mmpretrain_mldecoder.analysis.browse.dataset_split import (
    DatasetSplit,
    default_splits,
    read_split,
)

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def coco(root, split='train') -> dict:
    return coco_split(root, split, pipeline=PIPELINE)


def config(**datasets) -> Config:
    loaders = {f'{name}_dataloader': dict(dataset=dataset) for name, dataset in datasets.items()}
    return Config(dict(default_scope='mmpretrain', **copy.deepcopy(loaders)))


@pytest.fixture
def root(tmp_path):
    files = {'a.jpg': encoded(photo(0)), 'b.jpg': None, 'c.jpg': encoded(photo(2))}
    return write_dataset(tmp_path / 'data', dict(train=files), {'a.jpg': [1, 0], 'c.jpg': []})


def labels(split) -> list[list[int]]:
    return [split.labels[i].tolist() for i in range(len(split.paths))]


def test_coco_with_a_missing_file(root):
    split = read_split(config(train=coco(root)), 'train')
    assert split.paths == [str(root / 'train2017' / name) for name in ('a.jpg', 'b.jpg', 'c.jpg')]
    assert split.sizes == [(60, 80)] * 3
    assert labels(split) == [[0, 1], [0], []]
    assert split.classes == ('thing', 'other')
    assert split.loader.color_type == 'color'


def test_wrapped_datasets(root):
    """Repeated images count once, and joined ones one after the other."""
    repeated = dict(type='RepeatDataset', dataset=coco(root), times=3)
    balanced = dict(type='ClassBalancedDataset', dataset=coco(root), oversample_thr=0.9)
    for wrapped in (repeated, balanced):
        assert labels(read_split(config(train=wrapped), 'train')) == [[0, 1], [0], []]
    joined = dict(type='ConcatDataset', datasets=[coco(root), coco(root)])
    split = read_split(config(train=joined), 'train')
    assert labels(split) == 2 * [[0, 1], [0], []]
    assert split.classes == ('thing', 'other')


def test_the_hosts_multi_label_dataset(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(encoded(photo(0)))
    content = dict(
        metainfo=dict(classes=['x', 'y', 'z']),
        data_list=[
            dict(img_path='a.jpg', gt_label=[2, 0, 2]),
            dict(img_path='b.jpg', gt_label=[1]),
        ],
    )
    (tmp_path / 'labels.json').write_text(json.dumps(content))
    dataset = dict(
        type='MultiLabelDataset', data_root=str(tmp_path), ann_file='labels.json', pipeline=PIPELINE
    )
    split = read_split(config(val=dataset), 'val')
    assert [path.rsplit('/', 1)[1] for path in split.paths] == ['a.jpg', 'b.jpg']
    assert (labels(split), split.classes) == ([[0, 2], [1]], ('x', 'y', 'z'))
    assert split.sizes == [None, None]


@pytest.mark.parametrize('kind', ['CustomDataset', 'ImageNet', 'SeededImageNet'])
def test_class_folders(tmp_path, kind):
    for i, name in enumerate(('cat', 'dog')):
        (tmp_path / name).mkdir()
        (tmp_path / name / f'{i}.jpg').write_bytes(encoded(photo(i)))
    options = {} if kind == 'CustomDataset' else dict(split='', classes=('cat', 'dog'))
    dataset = dict(type=kind, data_root=str(tmp_path), pipeline=PIPELINE, **options)
    for name in ('dog/2.webp', 'dog/3.WEBP', 'readme.txt', 'cat/Thumbs.db', 'cat/.hidden.jpg~'):
        (tmp_path / name).touch()
    split = read_split(config(train=dataset), 'train')
    assert (labels(split), split.classes) == ([[0], [1]], ('cat', 'dog'))
    assert split.left_out == {'.webp': 2, '.txt': 1}  # which the host does not read
    if kind == 'SeededImageNet':  # a list may name files that are missing, and not all
        (tmp_path / 'train.txt').write_text('a.jpg 0\nb.jpg 1\n')
        split = read_split(config(train=dataset | dict(ann_file='train.txt')), 'train')
        assert labels(split) == [[0], [1]] and not split.left_out


def test_errors_say_what_is_wrong(root, tmp_path):
    with pytest.raises(ValueError, match=r'the config has no test_dataloader$'):
        read_split(config(train=coco(root)), 'test')
    with pytest.raises(FileNotFoundError, match='no annotations there'):
        read_split(config(train=coco(root, 'val')), 'train')
    with pytest.raises(ValueError, match=r'cannot be read: .*NoSuch'):
        read_split(config(train=dict(type='NoSuch')), 'train')
    (tmp_path / 'folders/cat').mkdir(parents=True)
    folders = dict(type='ImageNet', data_root=str(tmp_path / 'folders'), split='', pipeline=[])
    with pytest.raises(ValueError, match=r'cannot be read: The number of subfolders \(1\)'):
        read_split(config(train=folders), 'train')
    content = dict(metainfo=dict(classes=['x']), data_list=[dict(img_path='a.jpg', gt_label=[1])])
    (tmp_path / 'labels.json').write_text(json.dumps(content))
    dataset = dict(type='MultiLabelDataset', ann_file=str(tmp_path / 'labels.json'), pipeline=[])
    with pytest.raises(ValueError, match='has labels from 1 to 1, but 1 class'):
        read_split(config(train=dataset), 'train')


@DATASETS.register_module()
class ImagesInMemory(BaseDataset):
    def load_data_list(self):
        return [dict(img=np.zeros((2, 2, 3), np.uint8), gt_label=0)]


def test_images_in_memory_are_refused():
    with pytest.raises(ValueError, match='no img_path in its samples'):
        read_split(config(test=dict(type='ImagesInMemory')), 'test')


def test_which_splits_are_looked_at(root):
    train, val = coco(root), coco(root, 'val')
    assert default_splits(config(train=train)) == ['train']
    assert default_splits(config(train=train, val=val, test=val)) == ['train', 'val']
    other_pipeline = val | dict(pipeline=[], test_mode=True)
    assert default_splits(config(train=train, val=val, test=other_pipeline)) == ['train', 'val']
    other = coco(root, 'test')
    assert default_splits(config(train=train, val=val, test=other)) == ['train', 'val', 'test']
    assert default_splits(config(test=val)) == ['test']


def test_labels_are_counted_as_in_one_hot_rows():
    rng = np.random.default_rng(0)
    lists = [np.sort(rng.choice(9, rng.integers(0, 6), replace=False)) for _ in range(50)]
    present = np.zeros((50, 12), int)
    for row, row_labels in zip(present, lists, strict=True):
        row[row_labels] = 1
    split = DatasetSplit('train', None, [], [], lists, tuple('abcdefghijkl'), None, None)
    assert split.labels_per_image().tolist() == present.sum(axis=1).tolist()
    assert split.images_per_label().tolist() == present.sum(axis=0).tolist()
    for labels_ in (np.arange(9), np.array([7, 2, 5]), np.array([8]), np.array([0, 11])):
        chosen = present[:, labels_]
        assert np.array_equal(split.images_with_both(labels_), chosen.T @ chosen)
