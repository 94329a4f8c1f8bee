"""Oracle: what the samples of the pipeline say, one by one; MMEngine's repeat factors."""

import json

import numpy as np
import pytest
from coco_dataset import build
from mmengine.dataset import ClassBalancedDataset, ConcatDataset
from mmpretrain.datasets import MultiLabelDataset
from torch.utils.data import Subset

from mmpretrain_mldecoder.datasets import SeededDataset
from mmpretrain_mldecoder.datasets.known_labels import known_labels

SCORES = [[1, 0, -1, 0], [0, -1, -1, 1], [0, 0, 0, 0], [0.9, 0.4, -1, 1]]
LABELS = [[0, 2], [2], [], [3, 2, 3], [2]]


def listed(tmp_path, samples, **options):
    content = dict(metainfo=dict(classes=list('abcd')), data_list=samples)
    path = tmp_path / f'{len(samples)}{len(options)}.json'
    path.write_text(json.dumps(content))
    return MultiLabelDataset(str(path), **options)


def by_labels(tmp_path):
    return listed(tmp_path, [dict(img_path='x', gt_label=labels) for labels in LABELS])


def by_scores(tmp_path):
    return listed(tmp_path, [dict(img_path='x', gt_label=[2], gt_score=score) for score in SCORES])


def counts_of(dataset, num_classes=4):
    positives, negatives = known_labels(dataset).class_counts(num_classes)
    return positives.tolist(), negatives.tolist()


def test_labels_of_coco(fake_coco):
    for options in ({}, dict(indices=5), dict(with_crowd=False), dict(keep_unlabelled=False)):
        dataset = build(fake_coco, **options)
        hot = np.zeros((len(dataset), 4), int)
        for row, index in zip(hot, range(len(dataset)), strict=True):
            row[dataset.get_data_info(index)['gt_label']] = 1
        assert counts_of(dataset) == (hot.sum(0).tolist(), (1 - hot).sum(0).tolist())


def test_labels_and_scores_of_lists(tmp_path):
    assert counts_of(by_labels(tmp_path)) == ([1, 0, 4, 1], [4, 5, 1, 4])
    assert counts_of(by_scores(tmp_path)) == ([2, 0, 0, 2], [2, 3, 1, 2])


@pytest.mark.parametrize('difficult', ['unknown', 'negative', 'positive'])
def test_doubtful_labels_are_what_the_pipeline_makes_of_them(fake_coco, tmp_path, difficult):
    path = fake_coco / 'annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    for box in content['annotations'][::3]:
        box['ignore'] = 1
    path.write_text(json.dumps(content))
    pack = dict(type='PackMultiLabelInputs', difficult=difficult, num_classes=4)
    coco = build(fake_coco, pipeline=[pack])
    infos = [coco.get_data_info(i) for i in range(len(coco))]
    samples = [
        dict(
            img_path='x',
            gt_label=info['gt_label'].tolist(),
            gt_label_difficult=info['gt_label_difficult'].tolist(),
        )
        for info in infos
    ]
    scores = np.stack([coco[i]['data_samples'].gt_score.numpy() for i in range(len(coco))])
    expected = ((scores == 1).sum(0).tolist(), (scores == 0).sum(0).tolist())
    assert (scores == -1).any() == (difficult == 'unknown')
    for dataset in (coco, listed(tmp_path, samples, pipeline=[pack])):
        assert counts_of(dataset) == expected


@pytest.mark.parametrize('difficult', ['unknown', 'negative', 'positive'])
def test_absent_labels_are_what_the_pipeline_makes_of_them(fake_coco, tmp_path, difficult):
    pack = dict(type='PackMultiLabelInputs', difficult=difficult, num_classes=4, absent='unknown')
    samples = [dict(img_path='x', gt_label=[2], gt_score=score) for score in SCORES[:3]]
    samples += [dict(img_path='x', gt_label=[1], gt_label_difficult=[0, 1]), dict(img_path='x')]
    samples[-1]['gt_label'] = []
    lists, coco = listed(tmp_path, samples, pipeline=[pack]), build(fake_coco, pipeline=[pack])
    both = ConcatDataset([lists, by_labels(tmp_path), coco], ignore_keys=['classes'])
    for dataset in (lists, coco, both):
        parts = dataset.datasets if dataset is both else [dataset]
        rows = [
            part[i]['data_samples'].gt_score.numpy() if part.pipeline.transforms
            else np.isin(range(4), part.get_data_info(i)['gt_label'])
            for part in parts for i in range(len(part))
        ]  # fmt: skip
        scores = np.stack(rows)
        expected = (scores > 0.5).sum(0).tolist(), (scores == 0).sum(0).tolist()
        if dataset is not both:
            assert not any(expected[1])
        assert counts_of(dataset) == expected
        unknown = known_labels(dataset).unknown_per_sample(4)
        assert unknown.tolist() == (scores < 0).sum(1).tolist()


def test_wrappers_count_what_they_give(fake_coco, tmp_path):
    coco, lists = build(fake_coco), by_labels(tmp_path)
    one, other = map(np.array, (counts_of(coco), counts_of(lists)))
    part = dict(type='mmpretrain.MultiLabelDataset', ann_file=lists.ann_file)
    part['metainfo'] = dict(classes=coco.CLASSES)
    both = ConcatDataset([coco, dict(type='RepeatDataset', dataset=part, times=3)])
    np.testing.assert_array_equal(counts_of(both), one + 3 * other)
    np.testing.assert_array_equal(counts_of(SeededDataset(both)), one + 3 * other)
    found, number = known_labels(both), len(coco)
    codes = [
        n << 32 | int(c) for n in range(len(both)) for c in {*both.get_data_info(n)['gt_label']}
    ]
    assert sorted(found.positive.tolist()) == sorted(codes) and found.num_samples == number + 15
    balanced = ClassBalancedDataset(coco, 0.9)
    counts = np.sum(
        [np.bincount(balanced.get_cat_ids(i), None, 4) for i in range(len(balanced))], 0
    )
    assert counts_of(balanced)[0] == counts.tolist()


def test_repeat_factors_are_those_of_mmengine(fake_coco, tmp_path):
    for dataset in (build(fake_coco), by_labels(tmp_path)):
        for threshold in (0.1, 0.5, 1.0):
            host = ClassBalancedDataset(dataset, threshold)
            expected = host._get_repeat_factors(dataset, threshold)
            found = known_labels(dataset).repeat_factors(threshold)
            assert found.tolist() == pytest.approx(expected, rel=1e-15) and found.min() == 1
    # by hand: class 0 and class 3 are in 1 of 5 images, class 2 in 4
    factors = known_labels(by_labels(tmp_path)).repeat_factors(0.5)
    assert factors.tolist() == pytest.approx([2.5**0.5, 1, 1, 2.5**0.5, 1])


def test_what_cannot_be_counted(fake_coco, tmp_path):
    with pytest.raises(ValueError, match='a label 3, but there are 3 classes'):
        known_labels(by_labels(tmp_path)).class_counts(3)
    with pytest.raises(TypeError, match='Subset has no get_data_info'):
        known_labels(Subset(build(fake_coco), [0]))
    named = listed(tmp_path, [dict(img_path='x', gt_label=['a'])])
    with pytest.raises(ValueError, match=r"image 0 are \['a'\], but must be indices"):
        known_labels(named)
