from dataclasses import replace

import numpy as np
import pytest

from mmpretrain_mldecoder.datasets import COCOMultiLabel
from mmpretrain_mldecoder.datasets.label_files import LabelTable, write_coco_files


@pytest.fixture
def table(folder):
    names = ('a.jpg', 'sub/b c.png', 'd.jpg', 'e.jpg')
    folder.add_images(*names)
    (folder.path / 'e.jpg').write_bytes(b'no image')
    targets = np.array([[1, 0, -1], [0, 0, 0], [-1, 1, 1], [1, 1, 1]], np.int8)
    classes = ('zebra', 'a "b", c', '=cmd')
    return LabelTable(names, classes, targets, ('train', 'train', 'val', ''), ('',) * 4)


def test_the_dataset_reads_what_is_written(folder, table):
    files = write_coco_files(table, folder.path, folder.path / 'out')
    assert set(files) == {'train', 'val'}
    for split, indices in (('train', [0, 1]), ('val', [2])):
        dataset = COCOMultiLabel(ann_file=str(files[split]), data_root=str(folder.path))
        assert dataset.metainfo['classes'] == table.classes
        assert len(dataset) == len(indices)
        for place, index in enumerate(indices):
            sample = dataset.get_data_info(place)
            assert sample['img_path'] == str(folder.path / table.images[index])
            assert sample['gt_score'].tolist() == table.targets[index].tolist()
            assert (sample['height'], sample['width']) == (6, 8)


def test_a_name_that_is_not_utf8_is_refused(folder, table):
    table = replace(table, images=('a\udce9.jpg', *table.images[1:]))
    with pytest.raises(ValueError, match=r'a\\xe9\.jpg is not UTF-8'):
        write_coco_files(table, folder.path, folder.path / 'out')


def test_an_image_that_cannot_be_read_has_no_size(folder, table):
    table = replace(table, splits=('', '', '', 'test'))
    files = write_coco_files(table, folder.path, folder.path / 'out')
    dataset = COCOMultiLabel(ann_file=str(files['test']), data_root=str(folder.path))
    assert 'height' not in dataset.get_data_info(0)
