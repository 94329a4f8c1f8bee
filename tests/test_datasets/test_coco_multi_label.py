import json
import shutil

import numpy as np
import pytest
import torch
from coco_dataset import build, infos
from fake_coco import write_coco
from pycocotools.coco import COCO

from mmpretrain_mldecoder.datasets import COCOMultiLabel, SeededSamplesMixin, coco_multi_label


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
