"""The metric on data samples, in one process, against scikit-learn."""

import logging
import runpy
import sys
from pathlib import Path

import mmengine
import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.evaluator import DumpResults, Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample
from sklearn.metrics import average_precision_score, f1_score

from mmpretrain_mldecoder.datasets.transforms import PackMultiLabelInputs
from mmpretrain_mldecoder.evaluation import (
    MultiLabelMAP,
    object_size_mask,
    object_size_targets,
    precision_recall_at_threshold,
    precision_recall_at_topk,
)
from mmpretrain_mldecoder.evaluation.metrics import multi_label_map

CLASSES = ('ant', 'bee', 'cat', 'dog')
SIZE_KEYS = {'coco/mAP_small': 'small', 'coco/mAP_medium': 'medium', 'coco/mAP_large': 'large'}


def random_images(num_images=30, seed=0):
    """Scores and instances; every class has positives of every size."""
    rng = np.random.default_rng(seed)
    scores = rng.random((num_images, 4), dtype=np.float32)
    labels = [rng.permutation(4)[: rng.integers(0, 4)] for _ in range(num_images)]
    instances = [np.repeat(own, 2) for own in labels]
    areas = [rng.choice([100.0, 5000.0, 50000.0], len(own)).astype(np.float32) for own in instances]
    targets = np.zeros((num_images, 4), dtype=np.int8)
    for row, own in zip(targets, labels, strict=True):
        row[own] = 1
    return scores, targets, instances, areas


def make_samples(scores, targets, instances=None, areas=None, as_score=False):
    samples = []
    for i, (score, target) in enumerate(zip(scores, targets, strict=True)):
        sample = DataSample(metainfo=dict(sample_idx=i, img_path=f'{i:012d}.jpg'))
        sample.set_pred_score(score)
        if as_score:
            sample.set_gt_score(target)
        else:
            sample.set_gt_label(np.flatnonzero(target))
        if instances is not None:
            sample.set_metainfo(dict(instance_labels=instances[i], instance_areas=areas[i]))
        samples.append(sample)
    return samples


def evaluate(samples, size=None, dataset_meta=None, batch_size=7, **config):
    metric = METRICS.build(dict(type='MultiLabelMAP', **config))
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dataset_meta or dict(classes=CLASSES)
    for start in range(0, len(samples), batch_size):
        evaluator.process(samples[start : start + batch_size])
    result = evaluator.evaluate(size or len(samples))
    assert metric.results == []
    return result


@pytest.fixture
def log(monkeypatch):
    """Lines that the metric logs, as (level, text)."""
    lines = []

    def print_log(message, logger=None, level=logging.INFO):
        lines.append((level, message))

    monkeypatch.setattr(multi_label_map, 'print_log', print_log)
    return lines


@pytest.mark.parametrize(('as_score', 'batch_size'), [(True, 1), (False, 7), (True, 100)])
def test_map_equals_scikit_learn(as_score, batch_size):
    scores, targets, *_ = random_images()
    samples = make_samples(scores, targets, as_score=as_score)
    if not as_score:  # a label that is repeated counts once
        samples[0].set_gt_label(samples[0].gt_label.repeat(2))
    result = evaluate(samples, batch_size=batch_size)
    expected = 100 * average_precision_score(targets, scores, average='macro')
    assert result == {'coco/mAP': pytest.approx(expected, abs=1e-10)}
    assert isinstance(result['coco/mAP'], float)


def one_ap(scores, targets):
    """AP of each class over its known labels."""
    known = targets != -1
    columns = range(targets.shape[1])
    return [
        average_precision_score(targets[known[:, c], c], scores[known[:, c], c]) for c in columns
    ]


@pytest.mark.parametrize('missing_class', ['skip', 'zero'])
@pytest.mark.parametrize('kind', ['no positive', 'no known negative', 'some unknown'])
def test_missing_classes_and_unknown_labels(kind, missing_class, log):
    scores, targets, *_ = random_images()
    if kind == 'no positive':
        targets[:, 2] = 0
    elif kind == 'no known negative':
        targets[:, 2] = np.where(targets[:, 2] == 0, -1, 1)
    else:
        targets[::3, 1] = -1
    result = evaluate(make_samples(scores, targets, as_score=True), missing_class=missing_class)
    kept = [0, 1, 2, 3] if kind == 'some unknown' else [0, 1, 3]
    aps = one_ap(scores[:, kept], targets[:, kept])
    if missing_class == 'zero' and kind != 'some unknown':
        aps.append(0.0 if kind == 'no positive' else 1.0)
    assert result['coco/mAP'] == pytest.approx(100 * np.mean(aps), abs=1e-10)
    is_told = kind == 'no positive' or (kind, missing_class) == ('no known negative', 'skip')
    assert [text.rpartition(': ')[2] for _, text in log] == ['cat.'] * is_told
    why = 'no positive image' if kind == 'no positive' else 'no negative image'
    what = dict(skip='skipped', zero='counted as 0')[missing_class]
    assert all(f'1 of 4 classes are {what}, as they have {why}' in text for _, text in log)


@pytest.mark.parametrize(('lowest', 'other'), [(0.995, 0), (0.985, 0), (0.995, -1)])
def test_warns_of_a_class_that_every_image_has_by_its_scores(lowest, other, log):
    scores, targets, *_ = random_images()
    scores[:, 2] = lowest + (1 - lowest) * scores[:, 2]
    targets[targets[:, 2] == 0, 2] = other
    evaluate(make_samples(scores, targets, as_score=True))
    warned = [text for level, text in log if level == logging.WARNING]
    name = f'cat ({(targets[:, 2] == 0).sum()} images'
    assert [name in text for text in warned] == [True] * ((lowest, other) == (0.995, 0))


def test_table_counts_unknown_labels(log):
    scores, targets, *_ = random_images()
    targets[::3, 1] = -1
    targets[:, 2] = np.where(targets[:, 2] == 0, -1, 1)
    evaluate(make_samples(scores, targets, as_score=True), per_class=True)
    table = next(text for _, text in log if 'AP per class' in text)
    cells = [c.split() for row in table.split('\n')[2:] for c in row.split('|')]
    assert {name: list(map(int, counts)) for name, *counts, _ in cells} == {
        name: [int((targets[:, c] == label).sum()) for label in (1, 0, -1)]
        for c, name in enumerate(CLASSES)
    }
    assert {name: ap for name, *_, ap in cells}['cat'] == '-'


@pytest.mark.parametrize('form', ['labels', 'scores', 'lists'])
def test_classes_that_are_difficult_only_are_unknown(form):
    """The rule of VOC, by scikit-learn on what is left."""
    scores, targets, *_ = random_images()
    difficult = np.random.default_rng(1).random(targets.shape) < 0.3  # also of certain ones
    samples = make_samples(scores, targets, as_score=form == 'scores')
    for sample, row in zip(samples, difficult, strict=True):
        doubtful = np.flatnonzero(row)
        doubtful = doubtful.tolist() if form == 'lists' else doubtful
        sample.set_field(doubtful, 'gt_label_difficult', field_type='metainfo')
    aps = one_ap(scores, np.where((targets == 0) & difficult, -1, targets))
    result = evaluate(samples)['coco/mAP']
    assert result == pytest.approx(100 * np.mean(aps), abs=1e-10)
    assert abs(result - 100 * np.mean(one_ap(scores, targets))) > 0.1
    samples[3].set_field([4], 'gt_label_difficult', field_type='metainfo')
    with pytest.raises(ValueError, match=r'gt_label_difficult of 000000000003.* in \[0, 4\)'):
        evaluate(samples)


def test_what_no_class_can_be_scored_in_is_not_reported(log):
    samples = make_samples(np.zeros((3, 4), np.float32), np.zeros((3, 4)))
    assert evaluate(samples, with_f1=True) == {}
    assert log[-1][0] == logging.WARNING and 'mAP not reported' in log[-1][1]
    assert evaluate(samples, missing_class='zero') == {'coco/mAP': 0.0}
    scores, targets, instances, areas = random_images()
    small = [np.full_like(own, 100) for own in areas]
    result = evaluate(make_samples(scores, targets, instances, small), by_size=True)
    assert list(result) == ['coco/mAP', 'coco/mAP_small']


def test_f1():
    scores, targets, *_ = random_images()
    result = evaluate(make_samples(scores, targets), with_f1=True, thr=0.6, topk=2)
    at_thr = precision_recall_at_threshold(scores, targets, 0.6)
    at_topk = precision_recall_at_topk(scores, targets, 2)
    for name in ('CP', 'CR', 'CF1', 'OP', 'OR', 'OF1'):
        assert result.pop(f'coco/{name}') == pytest.approx(100 * at_thr[name])
        assert result.pop(f'coco/{name}_top2') == pytest.approx(100 * at_topk[name])
    assert list(result) == ['coco/mAP']
    assert at_thr['OF1'] == pytest.approx(f1_score(targets, scores >= 0.6, average='micro'))


def test_by_size_of_packed_samples():
    scores, targets, instances, areas = random_images()
    pack = PackMultiLabelInputs()
    samples = []
    for i in range(30):
        info = dict(sample_idx=i, gt_label=np.flatnonzero(targets[i]))
        info |= dict(instance_labels=instances[i], instance_areas=areas[i])
        samples.append(pack(info)['data_samples'].set_pred_score(scores[i]))
    result = evaluate(samples, by_size=True)
    masks = [object_size_mask(*own, 4) for own in zip(instances, areas, strict=True)]
    for key, size in SIZE_KEYS.items():
        expected = one_ap(scores, object_size_targets(targets, np.stack(masks), size))
        assert result[key] == pytest.approx(100 * np.mean(expected), abs=1e-10)
    assert len(result) == 4


@pytest.mark.parametrize('unknown', [0.0, np.nan])
def test_by_size_where_areas_are_not_known(unknown, log):
    scores, targets, instances, areas = random_images()
    nothing = [np.full_like(own, unknown) for own in areas]
    result = evaluate(make_samples(scores, targets, instances, nothing), by_size=True)
    assert list(result) == ['coco/mAP']
    number = (targets == 1).sum()
    ((level, text),) = log
    assert level == logging.WARNING
    assert f'areas of {number} of {number} labels are unknown' in text and 'not reported' in text
    # those of some images: as if the labels were unknown
    areas = [
        own if i % 3 else gone for i, (own, gone) in enumerate(zip(areas, nothing, strict=True))
    ]
    result = evaluate(make_samples(scores, targets, instances, areas), by_size=True)
    targets[::3][targets[::3] == 1] = -1
    masks = np.stack([object_size_mask(*own, 4) for own in zip(instances, areas, strict=True)])
    metric = MultiLabelMAP(by_size=True)
    expected = metric.compute(scores, targets, np.where(targets == 1, masks, 0).astype(np.uint8))
    for key, size in SIZE_KEYS.items():
        assert result[key] == pytest.approx(expected[f'mAP_{size}'])


def test_by_size_without_instances():
    # test_by_size_of_packed_samples does as this says
    with pytest.raises(ValueError, match=r'000000000000.jpg lacks.*PackMultiLabelInputs in place'):
        evaluate(make_samples(*random_images()[:2]), by_size=True)
    with pytest.raises(ValueError, match='needs size_masks'):
        MultiLabelMAP(by_size=True).compute(*random_images()[:2])


def test_table_per_class(log):
    scores, targets, *_ = random_images()
    targets[:, 3] = 0
    result = evaluate(make_samples(scores, targets), per_class=True)
    table = next(text for _, text in log if 'AP per class' in text)
    cells = [c.split() for row in table.split('\n')[2:] for c in row.split('|')]
    printed = {name: (int(count), value) for name, count, value in cells}
    assert sorted(printed) == list(CLASSES)
    for c, name in enumerate(CLASSES[:3]):
        ap = 100 * average_precision_score(targets[:, c], scores[:, c])
        assert printed[name] == (targets[:, c].sum(), f'{ap:.2f}')
    assert printed['dog'] == (0, '-')
    # What is printed averages to the mAP, up to the two printed decimals.
    mean = np.mean([float(printed[name][1]) for name in CLASSES[:3]])
    assert mean == pytest.approx(result['coco/mAP'], abs=0.005)


def test_compute_from_arrays_equals_evaluate():
    scores, targets, instances, areas = random_images()
    masks = np.stack([object_size_mask(*own, 4) for own in zip(instances, areas, strict=True)])
    config = dict(map_type='11point', with_f1=True, by_size=True)
    offline = MultiLabelMAP(**config).compute(scores, targets, masks)
    result = evaluate(make_samples(scores, targets, instances, areas), **config)
    assert {f'coco/{name}': value for name, value in offline.items()} == result


def test_prefix_and_half_precision_scores():
    scores, targets, *_ = random_images()
    samples = make_samples(torch.from_numpy(scores).bfloat16(), targets)
    rounded = torch.from_numpy(scores).bfloat16().float().numpy()
    expected = 100 * average_precision_score(targets, rounded, average='macro')
    assert evaluate(samples, prefix='voc') == {'voc/mAP': pytest.approx(expected)}


def test_padded_samples_count_once():
    scores, targets, *_ = random_images()
    samples = make_samples(scores, targets)
    padded = [*samples, *(sample.clone() for sample in samples[:5])]
    for sample in padded[30:]:
        sample.set_pred_score(torch.rand(4))
    expected = evaluate(samples)
    assert evaluate(padded, size=30) == expected
    # In any order, the first occurrence counts.
    assert evaluate([*samples[::-1], *padded[30:]], size=30) == expected


def test_samples_without_or_with_ambiguous_sample_idx_are_cut_at_size(log):
    scores, targets, *_ = random_images()
    samples = make_samples(scores, targets)
    expected = evaluate(samples)
    concatenated = make_samples(scores, targets)
    for i, sample in enumerate(concatenated):
        sample.set_field(i % 15, 'sample_idx', field_type='metainfo')
    anonymous = [DataSample(pred_score=s.pred_score, gt_label=s.gt_label) for s in samples]
    for batch in (concatenated, anonymous):
        assert evaluate([*batch, *batch[:3]], size=30) == expected
    assert log == []


def test_missing_samples_are_reported(log):
    evaluate(make_samples(*random_images()[:2]), size=31)
    ((level, text),) = log
    assert level == logging.WARNING
    assert 'tells 30 images apart, the dataset has 31. The first 30 samples' in text


def test_wrong_configuration_and_data():
    with pytest.raises(ValueError, match=r"'integral', 'envelope', '11point'.*, got 'voc'"):
        MultiLabelMAP(map_type='voc')
    with pytest.raises(ValueError, match="'skip' or 'zero', got 'nan'"):
        MultiLabelMAP(missing_class='nan')
    for argument in (dict(thr=0.3), dict(topk=1)):
        with pytest.raises(ValueError, match='does nothing without with_f1=True'):
            MultiLabelMAP(**argument)
        MultiLabelMAP(**argument, with_f1=True)
    for argument in (dict(thr=2), dict(thr='0.5'), dict(topk=0), dict(topk=(1, 3)), dict(topk=2.0)):
        with pytest.raises(ValueError, match=r'(thr|topk) must be .*, got'):
            MultiLabelMAP(**argument, with_f1=True)
    scores, targets, *_ = random_images()
    with pytest.raises(ValueError, match='gives 4 scores per image, the dataset has 3 classes'):
        evaluate(make_samples(scores, targets), dataset_meta=dict(classes=CLASSES[:3]))
    with pytest.raises(ValueError, match='no sample to evaluate'):
        MultiLabelMAP().evaluate(4)
    scores[5, 2] = np.nan
    with pytest.raises(ValueError, match='NaN, the first one for sample 5, class 2'):
        evaluate(make_samples(scores, targets))


def test_wrong_labels():
    for fields, message in (
        (dict(), 'sample 3 has neither gt_score nor gt_label'),
        (dict(gt_label=torch.tensor([0, 4])), r'gt_label of sample 3 must be .* got .0, 4'),
        (dict(gt_label=torch.tensor([-1])), r'gt_label of sample 3 must be in \[0, 4\), got .-1'),
        (dict(gt_score=torch.tensor([0, 1, 0.5, 0])), 'gt_score of sample 3 must hold 4 values'),
        (dict(gt_score=torch.tensor([0, 1])), r'gt_score of sample 3 .*got shape \(2,\)'),
    ):
        sample = dict(sample_idx=3, pred_score=torch.rand(4), **fields)
        with pytest.raises(ValueError, match=message):
            MultiLabelMAP().process(None, [sample])


def test_dumped_predictions_offline(tmp_path, monkeypatch, capsys):
    """``--out`` files go through the host's offline evaluator and its tool."""
    scores, targets, instances, areas = random_images()
    samples = make_samples(scores, targets, instances, areas)
    path = str(tmp_path / 'predictions.pkl')
    evaluator = Evaluator([MultiLabelMAP(by_size=True), DumpResults(path)])
    evaluator.process(samples)
    online = evaluator.evaluate(30)

    predictions = mmengine.load(path)
    offline = Evaluator(MultiLabelMAP(by_size=True)).offline_evaluate(predictions, chunk_size=4)
    assert offline == online

    tool = str(Path(mmpretrain.__file__).parent / '.mim/tools/analysis_tools/eval_metric.py')
    monkeypatch.setattr(sys, 'argv', [tool, path, '--metric', 'type=MultiLabelMAP', 'by_size=True'])
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr().out
    assert f"'coco/mAP': {online['coco/mAP']}" in printed


def test_one_threshold_per_class_name():
    scores = np.array([[0.9, 0.4], [0.6, 0.3], [0.2, 0.1]])
    targets = np.array([[1, 1], [0, 1], [0, 0]])
    metric = MultiLabelMAP(with_f1=True, topk=1, thr={'cell phone': 0.25, 'cat': 0.7})
    metric.dataset_meta = dict(classes=('cat', 'cell phone'))
    assert metric.compute(scores, targets)['OF1'] == 100
    assert MultiLabelMAP(with_f1=True, topk=1).compute(scores, targets)['OF1'] == 40
    assert MultiLabelMAP(with_f1=True).compute(scores, targets)['OR_top2'] == 100
    metric.dataset_meta = dict(classes=('cat', 'dog'))
    with pytest.raises(ValueError, match=r'thr must name each class once: .* cell phone, dog'):
        metric.compute(scores, targets)
    metric.thr = {'\x1b[2J': 0.5, 1: 0.5, None: 0.5}
    with pytest.raises(ValueError, match='thr must name each class once') as caught:
        metric.compute(scores, targets)
    assert str(caught.value).isprintable()
