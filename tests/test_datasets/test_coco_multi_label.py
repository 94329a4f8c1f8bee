import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_coco import write_coco
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmpretrain.registry import DATASETS
from pycocotools.coco import COCO
from torch.utils.data import DataLoader

from mmpretrain_mldecoder.datasets import (
    COCOMultiLabel,
    CocoSamples,
    SeededSamplesMixin,
    annotation_cache,
    coco_multi_label,
)


def build(root, split='train', **kwargs):
    return DATASETS.build(
        dict(
            type='COCOMultiLabel',
            data_root=str(root),
            ann_file=f'annotations/instances_{split}2017.json',
            data_prefix=f'{split}2017',
            **kwargs,
        )
    )


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def boxes_by_pycocotools(root, split):
    """List, per image in the order of the file, its record and its (category id, area, crowd)."""
    coco = COCO(str(root / 'annotations' / f'instances_{split}2017.json'))
    rows = []
    for image_id, image in coco.imgs.items():
        boxes = coco.loadAnns(coco.getAnnIds(imgIds=[image_id]))
        rows.append((image, [(b['category_id'], b['area'], b['iscrowd']) for b in boxes]))
    return sorted(coco.cats), rows


def check_against_pycocotools(root, split, min_box_area=0.0, with_crowd=True):
    dataset = build(root, split, min_box_area=min_box_area, with_crowd=with_crowd)
    category_ids, rows = boxes_by_pycocotools(root, split)
    assert len(dataset) == len(rows)
    for info, (image, boxes) in zip(infos(dataset), rows, strict=True):
        boxes = [b for b in boxes if b[1] >= min_box_area and (with_crowd or not b[2])]
        labels = [category_ids.index(category) for category, _, _ in boxes]
        assert info['img_path'] == str(root / f'{split}2017' / image['file_name'])
        assert info['img_id'] == image['id']
        assert (info['height'], info['width']) == (image['height'], image['width'])
        assert info['gt_label'].tolist() == sorted(set(labels))
        assert info['instance_labels'].tolist() == labels
        areas = np.float32([area for _, area, _ in boxes])
        np.testing.assert_array_equal(info['instance_areas'], areas)
        assert info['gt_label'].dtype == info['instance_labels'].dtype == np.int64
        assert info['instance_areas'].dtype == np.float32


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('options', [{}, dict(min_box_area=400.0), dict(with_crowd=False)])
def test_equals_pycocotools_on_the_fake_coco(fake_coco, split, options):
    check_against_pycocotools(fake_coco, split, **options)


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('options', [{}, dict(min_box_area=1024.0, with_crowd=False)])
def test_equals_pycocotools_on_real_annotations(shared_data, split, options):
    check_against_pycocotools(shared_data / 'coco_tiny', split, **options)


def test_all_80_classes_of_the_real_annotations_are_labels(shared_data):
    dataset = build(shared_data / 'coco_tiny')
    assert len(dataset.metainfo['classes']) == 80
    assert dataset.metainfo['classes'][0] == 'person'
    assert dataset.metainfo['classes'][79] == 'toothbrush'
    assert {label for info in infos(dataset) for label in info['gt_label'].tolist()} == set(
        range(80)
    )


def test_classes_are_sorted_by_category_id(fake_coco):
    # the file lists them in reverse order
    assert build(fake_coco).metainfo['classes'] == ('ant', 'bee', 'cat', 'dog')


def test_a_class_that_occurs_twice_is_one_label(fake_coco):
    info = build(fake_coco).get_data_info(1)
    assert info['gt_label'].tolist() == [1]
    assert info['instance_labels'].tolist() == [1, 1]


def test_a_subset_of_classes_sets_labels_and_order(fake_coco, tmp_path):
    names = ['dog', 'bee']
    all_classes, subset = build(fake_coco), build(fake_coco, classes=names)
    assert subset.metainfo['classes'] == ('dog', 'bee')
    for full, part in zip(infos(all_classes), infos(subset), strict=True):
        labels = {all_classes.CLASSES[label] for label in full['gt_label']}
        assert part['gt_label'].tolist() == [i for i, name in enumerate(names) if name in labels]

    (tmp_path / 'names.txt').write_text('dog\nbee\n')
    from_file = build(fake_coco, classes=str(tmp_path / 'names.txt'))
    assert from_file.metainfo['classes'] == subset.metainfo['classes']


def test_images_without_labels(fake_coco):
    kept, dropped = build(fake_coco), build(fake_coco, keep_unlabelled=False)
    assert len(kept) == 12
    assert kept.get_data_info(0)['gt_label'].shape == (0,)
    assert [info['img_id'] for info in infos(dropped)] == list(range(101, 112))

    # those that lose all their boxes to `classes` count as unlabelled, too
    with_bee = [info['img_id'] for info in infos(kept) if 1 in info['gt_label']]
    assert 0 < len(with_bee) < 11
    bees = build(fake_coco, classes=['bee'], keep_unlabelled=False)
    assert [info['img_id'] for info in infos(bees)] == with_bee


@pytest.mark.parametrize(
    ('options', 'parts'),
    [
        ({}, ['12 images, 4 classes', '1 images without labels kept', '2 crowd boxes kept']),
        (dict(keep_unlabelled=False), ['11 images', '1 images without labels dropped']),
        # the crowds are the only two boxes of their image
        (dict(with_crowd=False), ['2 images without labels kept', '2 crowd boxes dropped']),
        (dict(min_box_area=1e6), [' 0 labels from 0 boxes', '22 boxes below min_box_area=1e+06']),
    ],
)
def test_loading_logs_one_line(fake_coco, monkeypatch, options, parts):
    lines = []
    monkeypatch.setattr(coco_multi_label, 'print_log', lambda line, logger: lines.append(line))
    build(fake_coco, **options)
    assert len(lines) == 1
    assert all(part in lines[0] for part in parts), lines[0]


def test_other_json_in_subfolders(tmp_path):
    root = write_coco(tmp_path / 'own', dict(train=4), classes=('left', 'right'))
    path = root / 'annotations' / 'instances_train2017.json'
    content = json.loads(path.read_text())
    for i, image in enumerate(content['images']):
        folder = root / 'train2017' / f'part{i % 2}' / 'jpg'
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(root / 'train2017' / image['file_name'], folder)
        image['file_name'] = f'part{i % 2}/jpg//{image["file_name"]}'  # a doubled slash is legal
    path.write_text(json.dumps(content))

    dataset = build(root, pipeline=[dict(type='LoadImageFromFile')])
    assert dataset.metainfo['classes'] == ('left', 'right')
    assert [dataset[i]['img'].shape[:2] for i in range(4)] == [
        (image['height'], image['width']) for image in content['images']
    ]


def test_samples_reach_the_model_as_one_hot_targets(fake_coco):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='PackMultiLabelInputs'),
    ]
    dataset = build(fake_coco, pipeline=pipeline)
    for i in range(3):
        sample = dataset[i]['data_samples']
        assert sample.gt_label.dtype == torch.long
        assert sample.sample_idx == i
        assert len(sample.instance_labels) == len(sample.instance_areas)
    assert dataset[0]['data_samples'].gt_label.tolist() == []


def test_the_dataset_is_made_for_the_seeded_sampler():
    assert issubclass(COCOMultiLabel, SeededSamplesMixin)


def test_get_cat_ids_serves_the_class_balanced_wrapper(fake_coco):
    dataset = build(fake_coco)
    assert [dataset.get_cat_ids(i) for i in (0, 1)] == [[], [1]]
    assert len(ClassBalancedDataset(dataset, oversample_thr=0.9)) > len(dataset)


def test_lazy_init_and_indices_of_the_host(fake_coco):
    dataset = build(fake_coco, lazy_init=True, indices=5, serialize_data=False)
    assert dataset.CLASSES is None
    dataset.full_init()
    assert len(dataset) == 5


def test_coco_is_read_on_demand_in_silence_and_once(fake_coco, capsys):
    dataset = build(fake_coco)
    capsys.readouterr()
    coco = dataset.coco
    assert isinstance(coco, COCO)
    assert capsys.readouterr().out == ''
    assert dataset.coco is coco
    assert coco.getImgIds() == [info['img_id'] for info in infos(dataset)]
    assert [coco.cats[i]['name'] for i in sorted(coco.cats)] == list(dataset.CLASSES)


def test_coco_accepts_a_byte_order_mark(fake_coco):
    path = fake_coco / 'annotations' / 'instances_val2017.json'
    path.write_text(path.read_text(), encoding='utf-8-sig')
    assert len(build(fake_coco, 'val').coco.imgs) == 7


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


def oracle(root, split):
    """Return what the samples of a JSON are, by a loop over it in plain Python."""
    content = json.loads((root / 'annotations' / f'instances_{split}2017.json').read_text())
    label_of = {id_: i for i, id_ in enumerate(sorted(c['id'] for c in content['categories']))}
    samples = []
    for image in content['images']:
        boxes = [box for box in content['annotations'] if box['image_id'] == image['id']]
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


@pytest.mark.parametrize('split', ['train', 'val'])
def test_samples_are_those_of_a_plain_loop_on_real_annotations(shared_data, split):
    root = shared_data / 'coco_tiny'
    check_samples(infos(build(root, split)), oracle(root, split))


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=6, unique=True),
    category_ids=st.lists(st.integers(0, 300), min_size=1, max_size=5, unique=True),
    boxes=st.lists(st.tuples(st.integers(0), st.integers(0), st.floats(0, 1e6)), max_size=30),
    chosen=st.data(),
)
def test_samples_are_those_of_a_plain_loop_on_random_files(ids, category_ids, boxes, chosen):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / 'annotations').mkdir()
        (root / 'train2017' / 'sub').mkdir(parents=True)
        images = []
        for i, id_ in enumerate(ids):
            name = 'sub/' * (i % 2) + f'é{i}.jpg'
            (root / 'train2017' / name).touch()
            images.append(dict(id=id_, file_name=name, height=i + 1, width=2 * i + 1))
        annotations = [
            dict(
                image_id=ids[image % len(ids)],
                category_id=category_ids[category % len(category_ids)],
                area=area,
            )
            for image, category, area in boxes
        ]
        categories = [dict(id=id_, name=f'class {id_}') for id_ in category_ids]
        (root / 'annotations' / 'instances_train2017.json').write_text(
            json.dumps(dict(images=images, annotations=annotations, categories=categories))
        )
        expected = oracle(root, 'train')
        dataset = build(root)
        check_samples(infos(dataset), expected)

        indices = chosen.draw(st.lists(st.integers(-len(ids), len(ids) - 1), max_size=8))
        check_samples(infos(dataset.get_subset(indices)), [expected[i] for i in indices])
        labelled = [sample for sample in expected if len(sample['gt_label'])]
        if labelled:
            check_samples(infos(build(root, keep_unlabelled=False)), labelled)


@pytest.mark.parametrize('serialize_data', [True, False])
@pytest.mark.parametrize('indices', [5, -3, 0, [2, 0, -1, 2], []])
def test_subsets_of_the_host(fake_coco, indices, serialize_data):
    expected = oracle(fake_coco, 'train')
    if isinstance(indices, int):
        wanted = expected[:indices] if indices >= 0 else expected[indices:]
    else:
        wanted = [expected[i] for i in indices]
    whole = build(fake_coco, serialize_data=serialize_data)
    subset = whole.get_subset(indices)
    check_samples(infos(subset), wanted)
    check_samples(infos(whole), expected)
    whole.get_subset_(indices)
    check_samples(infos(whole), wanted)
    check_samples(infos(build(fake_coco, indices=indices)), wanted)
    assert [info['sample_idx'] for info in infos(whole)] == list(range(len(wanted)))
    with pytest.raises(TypeError, match='indices'):
        whole.get_subset(0.5)


def test_a_data_info_may_be_changed(fake_coco):
    dataset = build(fake_coco)
    info = dataset.get_data_info(1)
    info['img_path'] = ''
    info['gt_label'] += 1
    info['instance_areas'][:] = 0
    check_samples(infos(dataset), oracle(fake_coco, 'train'))
    assert dataset.get_data_info(-1)['sample_idx'] == 11


def test_wrappers_of_the_host(fake_coco):
    expected = oracle(fake_coco, 'train') + oracle(fake_coco, 'val')
    both = ConcatDataset([build(fake_coco), build(fake_coco, 'val')])
    check_samples(infos(both), expected)
    check_samples(infos(RepeatDataset(build(fake_coco), 2)), expected[:12] * 2)
    balanced = ClassBalancedDataset(build(fake_coco), oversample_thr=0.9)
    by_path = {sample['img_path']: sample for sample in expected}
    check_samples(infos(balanced), [by_path[info['img_path']] for info in infos(balanced)])


def test_filter_cfg_is_handed_to_a_filter(fake_coco):
    class Tall(COCOMultiLabel):
        def filter_data(self):
            least = self.filter_cfg['height']
            return [info for info in self.data_list if info['height'] >= least]

    expected = [sample for sample in oracle(fake_coco, 'train') if sample['height'] >= 52]
    assert 0 < len(expected) < 12
    options = dict(data_root=str(fake_coco), data_prefix='train2017', filter_cfg=dict(height=52))
    for serialize_data in (True, False):
        dataset = Tall(
            'annotations/instances_train2017.json', serialize_data=serialize_data, **options
        )
        check_samples(infos(dataset), expected)
        check_samples(infos(dataset.get_subset([0, -1])), [expected[0], expected[-1]])
        # a list is what the host serializes for its workers
        assert dataset.serialize_data is serialize_data
        assert len(dataset.data_list) == (0 if serialize_data else len(expected))


def test_a_filter_may_keep_the_arrays(fake_coco):
    class Every2nd(COCOMultiLabel):
        def filter_data(self):
            return self.data_list[::2]

    dataset = Every2nd(
        'annotations/instances_train2017.json', data_root=str(fake_coco), data_prefix='train2017'
    )
    assert isinstance(dataset.data_list, CocoSamples)
    check_samples(infos(dataset), oracle(fake_coco, 'train')[::2])


def test_a_subclass_may_return_other_dicts(fake_coco):
    class WithSource(COCOMultiLabel):
        def load_data_list(self):
            return [dict(info, source='mine') for info in super().load_data_list()]

    dataset = WithSource(
        'annotations/instances_train2017.json', data_root=str(fake_coco), data_prefix='train2017'
    )
    assert [info['source'] for info in infos(dataset)] == ['mine'] * 12


def test_a_failed_start_can_be_tried_again(fake_coco):
    dataset = build(fake_coco, lazy_init=True)
    (fake_coco / 'train2017').rename(fake_coco / 'elsewhere')
    with pytest.raises(FileNotFoundError):
        dataset.full_init()
    assert dataset.serialize_data
    (fake_coco / 'elsewhere').rename(fake_coco / 'train2017')
    check_samples(infos(dataset), oracle(fake_coco, 'train'))


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_see_the_samples(fake_coco, method):
    loader = DataLoader(
        build(fake_coco), num_workers=1, multiprocessing_context=method, collate_fn=list
    )
    check_samples([batch[0] for batch in loader], oracle(fake_coco, 'train'))


def test_the_second_start_comes_from_the_cache_and_says_so(fake_coco, tmp_path, monkeypatch):
    options = dict(classes=['dog', 'bee'], with_crowd=False)
    expected = [
        {key: value for key, value in info.items() if key != 'sample_idx'}
        for info in infos(build(fake_coco, **options))  # too small a file for the cache
    ]
    monkeypatch.setenv('MLDECODER_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(annotation_cache, '_SMALLEST_BYTES', 0)
    monkeypatch.setattr(annotation_cache, '_SETTLED_NANOSECONDS', -(10**12))
    lines = []
    monkeypatch.setattr(coco_multi_label, 'print_log', lambda line, logger: lines.append(line))
    check_samples(infos(build(fake_coco)), oracle(fake_coco, 'train'))
    check_samples(infos(build(fake_coco)), oracle(fake_coco, 'train'))
    check_samples(infos(build(fake_coco, **options)), expected)
    (entry,) = (tmp_path / 'cache').iterdir()
    assert ['from the cache' in line for line in lines] == [False, True, True]
    assert lines[1].startswith(lines[0])
    assert lines[1].endswith(f'; annotations from the cache {entry}')
    # the images are looked for at each start
    (fake_coco / 'train2017' / f'{3:012d}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='1 of 12 images'):
        build(fake_coco)
