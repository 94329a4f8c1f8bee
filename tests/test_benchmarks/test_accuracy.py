"""What the measured accuracies rest on; nothing is trained here."""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from sklearn.metrics import average_precision_score

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.accuracy import fine_tuning, losses, photos  # noqa: E402
from benchmarks.accuracy.attention_in_boxes import (  # noqa: E402
    boxes_by_class,
    cells_in_boxes,
    class_maps,
)
from benchmarks.accuracy.fine_tuning import HEADS as FINE_TUNED  # noqa: E402
from benchmarks.accuracy.fine_tuning import Run, main_runs  # noqa: E402
from benchmarks.accuracy.heads import HEADS, POOLED  # noqa: E402
from benchmarks.accuracy.records import (  # noqa: E402
    RECORDED,
    Study,
    mean_average_precision,
    paired_difference,
)
from benchmarks.accuracy.tables import PAGES, TABLES, markdown  # noqa: E402
from benchmarks.accuracy.threshold_gains import gains  # noqa: E402
from mmpretrain_mldecoder.analysis.model_table import replace_tables  # noqa: E402


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_tables_are_made_of_the_recorded_results(page):
    text = page.read_text(encoding='utf-8')
    emptied = re.sub(
        r'(<!-- accuracy: begin .*? -->\n).*?(?=<!-- accuracy: end)', r'\1', text, flags=re.S
    )
    assert emptied != text
    assert replace_tables(emptied, 'accuracy', partial(markdown, out=RECORDED)) == text


def test_records_are_found_again_with_their_scores(tmp_path):
    generator = np.random.default_rng(0)
    targets = (generator.random((40, 3)) < 0.4).astype(np.float32)
    targets[0] = -1
    scores = generator.random((40, 3), dtype=np.float32)
    key = dict(dataset='voc2007', run='linear', seed=1)
    Study('heads', tmp_path).add(key, dict(lr=0.1), scores, targets)

    study = Study('heads', tmp_path)
    (record,) = study.find(key)
    expected = average_precision_score(targets[1:], scores[1:], average='macro')
    assert record['mAP'] == pytest.approx(100 * expected)
    assert record['lr'] == 0.1
    assert study.find(dict(key, seed=2)) == []
    for stored, given in zip(study.scores(record), (scores, targets), strict=True):
        np.testing.assert_array_equal(stored, given)


def test_no_record_is_lost_where_several_write(tmp_path):
    studies = [Study('heads', tmp_path) for _ in range(4)]

    def add(study):
        for i in range(10):
            study.add(dict(run=studies.index(study), seed=i), {})

    with ThreadPoolExecutor() as pool:
        list(pool.map(add, studies))
    assert len(Study('heads', tmp_path).records) == 40


def test_paired_difference_resamples_the_same_images_for_both():
    generator = np.random.default_rng(0)
    targets = (generator.random((60, 2)) < 0.3).astype(int)
    good = [targets + generator.normal(size=(60, 2)) * 0.5 for _ in range(2)]
    poor = [generator.normal(size=(60, 2))]

    found = paired_difference(good, poor, targets, resamples=20)

    def mean(sets, rows):
        per_seed = [average_precision_score(targets[rows], scores[rows]) for scores in sets]
        return 100 * np.mean(per_seed)

    assert found['difference'] == pytest.approx(mean(good, slice(None)) - mean(poor, slice(None)))
    draws = np.random.default_rng(0)
    rows = [draws.integers(60, size=60) for _ in range(20)]
    expected = np.percentile([mean(good, r) - mean(poor, r) for r in rows], [2.5, 97.5])
    np.testing.assert_allclose([found['low'], found['high']], expected)
    assert paired_difference(good, good, targets, 5) == dict(difference=0, low=0, high=0)


@pytest.mark.parametrize('name', HEADS)
def test_heads_give_logits_and_learn(name):
    torch.manual_seed(0)
    head = HEADS[name](9, 32).eval()
    maps = torch.randn(2, 32, 3, 4)
    logits = head(maps)
    assert logits.shape == (2, 9)
    assert not torch.allclose(logits[0], logits[1])
    if name in POOLED:
        torch.testing.assert_close(head(POOLED[name](maps)), logits)
    logits.square().sum().backward()
    assert all(each.grad is not None for each in head.parameters() if each.requires_grad)


def test_query2label_knows_where_a_feature_is():
    torch.manual_seed(0)
    maps = torch.randn(1, 32, 3, 4)
    moved = maps.flip(3)
    head = HEADS['query2label'](9, 32).eval()
    assert not torch.allclose(head(maps), head(moved), atol=1e-3)
    head = HEADS['mldecoder'](9, 32).eval()
    torch.testing.assert_close(head(maps), head(moved))


def test_cells_in_boxes(tmp_path):
    path = tmp_path / 'a.xml'
    corners = '<bndbox><xmin>0</xmin><ymin>20</ymin><xmax>50</xmax><ymax>40</ymax></bndbox>'
    path.write_text(
        '<annotation><size><width>200</width><height>40</height></size>'
        f'<object><name>cat</name>{corners}</object></annotation>'
    )
    boxes = boxes_by_class(path)['cat']
    np.testing.assert_allclose(boxes, [[0, 0.5, 0.25, 1]])
    assert cells_in_boxes(boxes, 2, 4).tolist() == [[False] * 4, [True, False, False, False]]
    both = np.concatenate([boxes, [[0.6, 0, 1, 0.3]]])
    assert cells_in_boxes(both, 2, 4).tolist()[0] == [False, False, True, True]


def test_class_activation_maps_average_to_the_logits():
    torch.manual_seed(0)
    head, maps = HEADS['linear'](5, 8), torch.randn(2, 8, 3, 3)
    means = class_maps(head, (maps,)).mean((2, 3))
    torch.testing.assert_close(means + head.fc.bias, head(maps))


def test_gains_of_thresholds_that_are_needed_are_found():
    generator = np.random.default_rng(0)
    targets = (generator.random((400, 3)) < 0.3).astype(int)
    scores = (0.2 * targets + 0.6 + 0.1 * generator.random((400, 3))).clip(0, 1)
    found = gains(scores, targets, halves=3)
    assert found['CF1_at_0.5'] < 60
    assert found['CF1_found'] == pytest.approx(100 - found['CF1_at_0.5'])
    assert found['CF1_promised'] == pytest.approx(found['CF1_found'], abs=5)


@pytest.mark.parametrize(('hiding', 'share'), [('half', 0.5), ('most', 0.9), ('none', 0)])
def test_hidden_labels_are_a_share_of_all(hiding, share):
    targets = torch.from_numpy(np.random.default_rng(0).integers(-1, 2, (500, 8))).float()
    hidden = losses.hide(targets, hiding, 0)
    was_known, is_known = targets >= 0, hidden >= 0
    assert torch.equal(hidden[is_known], targets[is_known])
    for label in (0, 1):
        left = is_known[targets == label].float().mean().item()
        assert left == pytest.approx(1 - share, abs=0.05)
    assert not (is_known & ~was_known).any()
    assert torch.equal(losses.hide(targets, hiding, 0), hidden)
    assert share == 0 or not torch.equal(losses.hide(targets, hiding, 1), hidden)


def test_one_positive_is_left():
    targets = torch.from_numpy(np.random.default_rng(0).integers(-1, 2, (500, 8))).float()
    hidden = losses.hide(targets, 'single', 0)
    assert torch.equal((hidden == 1).sum(1), (targets == 1).any(1).long())
    assert ((hidden == 1) <= (targets == 1)).all() and not (hidden == 0).any()
    places = (hidden == 1).float().argmax(1)[(targets == 1).sum(1) == 2]
    assert len(set(places.tolist())) == 8  # not always the first


def test_turned_labels_are_turned_where_they_are_known(trainings):
    targets = torch.tensor([[1.0, 0.0, -1.0]])
    turned = losses.hide(targets, losses.TURNED, 0)
    assert torch.equal(turned, torch.tensor([[0.0, 1.0, -1.0]]))

    trainings.run('bce', losses.TURNED, 0)  # the mAP is that of the classes
    (record,) = trainings.study.records
    assert record['mAP'] > 90 and record['AP_most_frequent'] > 90  # chance: 25, 50


def test_fewer_photos_have_the_most_frequent_class():
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(500, 2, generator=generator) < torch.tensor([0.2, 0.8])).float()
    rows = losses.rows_with_share(targets, 0.5)
    assert len(rows.unique()) == len(rows)
    assert targets[rows, 1].mean() == 0.5
    assert (targets[rows, 1] == 0).sum() == (targets[:, 1] == 0).sum()


@pytest.fixture
def trainings(hub, tmp_path, monkeypatch):
    """Those of COCO-18, of made-up features that show the labels."""
    generator = np.random.default_rng(0)
    targets = (generator.random((300, 4)) < [0.5, 0.3, 0.2, 0.015]).astype(np.float32)
    maps = np.repeat(targets, 2, axis=1) + 0.3 * generator.normal(size=(300, 8))
    found = torch.from_numpy(maps).float(), torch.from_numpy(targets)
    monkeypatch.setattr(losses, 'features', lambda *_: found)
    return losses.Trainings('coco18', 'linear', tmp_path)


@pytest.mark.parametrize(
    ('method', 'hiding'),
    [each for each in losses.planned('coco18', 'linear') if each[1] in ('none', 'half')],
)
def test_every_loss_of_the_study_learns(trainings, method, hiding):
    targets = losses.hide(trainings.targets['train'], hiding, 0)
    scores = trainings._scores(method, hiding, targets, range(300), 'test', 0.3, 5, 0)
    assert mean_average_precision(scores, trainings.targets['test'].numpy()) > 60  # chance: 25


def test_settings_are_chosen_on_labels_as_scarce_as_those_of_the_training(trainings, monkeypatch):
    seen = []
    monkeypatch.setattr(losses, 'mean_average_precision', lambda _, known: seen.append(known) or 0)
    for hiding in ('most', 'single'):
        targets = losses.hide(trainings.targets['train'], hiding, 0)
        trainings._setting('wan', hiding, targets, 0)
        known = targets[photos.part_of(range(300), 'held_out')]
        if hiding == 'single':  # what is not known to be present counts as absent
            known = torch.where(known == 1, 1, 0)
        assert all((each == known.numpy()).all() for each in seen[-4:])


@pytest.fixture
def corel(tmp_path, monkeypatch) -> Path:
    """A Corel-5k of ten photos that are not there."""
    folder = tmp_path / 'corel5k/labels'
    folder.mkdir(parents=True)
    (folder / 'words').write_text('city\nsky\n')
    lines = [f'{i} {" ".join(["1 2", "2", ""][i % 3].split())}\n' for i in range(10)]
    (folder / 'training_label').write_text(''.join(lines))
    monkeypatch.setenv('MLDECODER_SHARED_DATA', str(tmp_path))
    return tmp_path


def test_settings_are_chosen_on_photos_apart(corel, tmp_path):
    images, labels = {}, {}
    for split in ('train', 'fit', 'held_out'):
        cfg = photos.dataset_cfg('corel5k', split, tmp_path / 'out')
        content = json.loads(Path(cfg['ann_file']).read_text())
        images[split] = {image['id'] for image in content['images']}
        labels[split] = [(each['image_id'], each['category_id']) for each in content['annotations']]
    assert len(images['held_out']) == 2
    assert not images['fit'] & images['held_out']
    assert images['fit'] | images['held_out'] == images['train'] == set(range(10))
    assert sorted(labels['fit'] + labels['held_out']) == sorted(labels['train'])
    assert set(labels['train']) >= {(0, 1), (0, 2), (1, 2)}


def test_missing_photos_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv('MLDECODER_SHARED_DATA', str(tmp_path / 'none'))
    with pytest.raises(FileNotFoundError, match='MLDECODER_SHARED_DATA'):
        photos.photo_folder()


def test_names_tell_runs_apart():
    runs = main_runs()
    assert len({(run.dataset, run.name, run.seed) for run in runs}) == len(runs)
    assert Run('voc2007', 'linear', size=160).name != Run('voc2007', 'linear').name


@pytest.mark.parametrize('head', FINE_TUNED)
def test_the_rows_of_voc_are_what_was_measured(head, monkeypatch, tmp_path):
    monkeypatch.setattr(fine_tuning, 'dataset_cfg', lambda *_: dict(type='VOC'))
    row = Config.fromfile(ROOT / f'configs/voc2007/{head}_lite0.py')
    for record in Study('fine_tuning', RECORDED).find(dict(dataset='voc2007')):
        if record['run'] == Run('voc2007', head).name:
            cfg = Run('voc2007', head, record['seed']).config(record['lr'], tmp_path)
            for key in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'custom_hooks'):
                assert cfg[key] == row[key]
            for name in ('train_dataloader', 'test_dataloader'):
                assert cfg[name].batch_size == row[name].batch_size
                assert cfg[name].dataset.pipeline == row[name].dataset.pipeline


@pytest.mark.parametrize('name', sorted(TABLES.keys() - {'summary'}))
def test_a_table_of_no_results_has_no_rows(name, tmp_path):
    assert markdown(name, 'voc2007', tmp_path).count('\n') == 2
