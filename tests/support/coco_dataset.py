"""The dataset of a COCO folder, and what its samples are by a loop in plain Python."""

import json

import numpy as np
from mmpretrain.registry import DATASETS


def coco_split(root, split='train', **kwargs):
    """Return the config of a split of a folder such as ``write_coco`` makes."""
    return dict(
        type='COCOMultiLabel',
        data_root=str(root),
        ann_file=f'annotations/instances_{split}2017.json',
        data_prefix=f'{split}2017',
        **kwargs,
    )


def build(root, split='train', **kwargs):
    return DATASETS.build(coco_split(root, split, **kwargs))


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def images_per_label(dataset):
    """Return how many samples have each label, ``(C,)``."""
    labels = [sample['gt_label'] for sample in infos(dataset)]
    return np.bincount(np.concatenate(labels), minlength=len(dataset.metainfo['classes']))


def plain_samples(root, split='train', min_box_area=0.0, with_crowd=True):
    """Return the samples of a JSON, by a loop over it in plain Python."""
    content = json.loads((root / 'annotations' / f'instances_{split}2017.json').read_text())
    label_of = {id_: i for i, id_ in enumerate(sorted(c['id'] for c in content['categories']))}
    samples = []
    for image in content['images']:
        boxes = [
            box
            for box in content['annotations']
            if box['image_id'] == image['id']
            and box['area'] >= min_box_area
            and (with_crowd or not box.get('iscrowd'))
        ]
        labels = [label_of[box['category_id']] for box in boxes]
        samples.append(
            dict(
                img_path=str(root / f'{split}2017' / image['file_name']),
                img_id=image['id'],
                height=image['height'],
                width=image['width'],
                gt_label=np.array(sorted(set(labels)), np.int64),
                instance_labels=np.array(labels, np.int64),
                instance_areas=np.array([box['area'] for box in boxes], np.float32),
            )
        )
    return samples


def check_samples(ours, expected):
    """Check that samples are the same, to the order of the keys and the dtypes."""
    ours = list(ours)
    assert len(ours) == len(expected)
    for info, wanted in zip(ours, expected, strict=True):
        info = {key: value for key, value in info.items() if key != 'sample_idx'}
        assert list(info) == list(wanted)
        for key, value in wanted.items():
            assert type(info[key]) is type(value)
            if isinstance(value, np.ndarray):
                assert info[key].dtype == value.dtype
                np.testing.assert_array_equal(info[key], value)
            else:
                assert info[key] == value
