"""An audit from a run to a corrected label file."""

import csv
import json

import numpy as np
import pytest
from flipped_labels import MISSING, SPURIOUS, start_run
from mmengine.config import Config
from tiny_run import load_main

from mmpretrain_mldecoder.analysis.audit.features import backbone_features
from mmpretrain_mldecoder.datasets.label_files import Answers, make_folds, read_labels
from mmpretrain_mldecoder.errors import RunError
from mmpretrain_mldecoder.start.stages import RunFolder

pytest.importorskip('cleanlab')
pytest.importorskip('iterstrat')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return start_run(tmp_path_factory.mktemp('audit'))


def test_flipped_labels_are_found_and_corrected(run, capsys):
    audit = load_main('audit')
    (run.parent / 'data/red3.jpg').write_bytes(b'no image')
    audit([str(run)])
    printed = capsys.readouterr().out
    assert '1 images cannot be read' in printed and '1 classes are not judged' in printed
    with (run / 'audit/suspicions.csv').open(newline='') as file:
        found = [(row['image'], row['class'], row['suspicion']) for row in csv.DictReader(file)]
    assert {*found[:2]} == {(MISSING, 'red', 'missing'), (SPURIOUS, 'red', 'spurious')}
    assert '--apply decisions.json' in (run / 'audit/index.html').read_text()

    decisions = [
        {'image': image, 'class': name, 'suspicion': kind, 'accepted': image == MISSING}
        for image, name, kind in found[:2]
    ]
    file = run.parent / 'decisions.json'
    file.write_text(json.dumps(dict(decisions=decisions)))
    audit([str(run), '--apply', str(file)])
    assert '1 added, 1 rejected' in capsys.readouterr().out
    before = (run.parent / 'data/labels.csv').read_text()
    after = (run / 'audit/corrected/labels.csv').read_text()
    assert after == before.replace('red7.jpg,seen', 'red7.jpg,seen|red')


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('{"decisions": [{"image": "gone.jpg"}]}', 'not what the page'),
        ('{"decisions": [{"image": "a.jpg", "class": "red", "suspicion": "missing", '
         '"accepted": true}]}', 'of another run'),
    ],
)  # fmt: skip
def test_decisions_of_another_run_are_refused(content, said, run, tmp_path, capsys):
    file = tmp_path / 'decisions.json'
    file.write_text(content)
    with pytest.raises(SystemExit):
        load_main('audit')([str(run), '--apply', str(file)])
    assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        load_main('audit')([str(tmp_path)])
    assert 'mldecoder start' in capsys.readouterr().err


def test_features_are_those_of_the_backbone_as_training_starts(run):
    cfg = Config.fromfile(run / 'config.py')
    images = [str(run.parent / 'data' / name) for name in ('red1.jpg', 'gone.jpg', 'blue2.jpg')]
    features, unreadable = backbone_features(cfg, images)
    assert [*unreadable] == [1] and not features[1].any()
    one, _ = backbone_features(cfg, images[2:])
    np.testing.assert_allclose(features[2], one[0], rtol=1e-3, atol=1e-4)
    assert np.abs(features[0] - features[2]).max() > 0.1
    cfg.model.backbone.pop('init_cfg')
    with pytest.raises(RunError, match='init_cfg'):
        backbone_features(cfg, images)


def test_answers_of_a_terminal_are_kept_for_the_audit(run):
    assert RunFolder.open(run).answers['minus_one'] is None
    opened = RunFolder.open(run)
    opened.answers['empty'] = 'unknown'
    opened.store()
    assert RunFolder.open(run).answers['empty'] == 'unknown'


def test_folds_keep_copies_together_and_have_all_classes(run):
    data = run.parent / 'data'
    (data / 'copy.jpg').write_bytes((data / 'blue5.jpg').read_bytes())
    with (data / 'labels.csv').open('a') as file:
        file.write('copy.jpg,blue\n')
    table = read_labels(data, Answers())
    folds = make_folds(table, data, 4)
    assert folds[table.images.index('copy.jpg')] == folds[table.images.index('blue5.jpg')]
    counts = [(table.targets[folds == fold] == 1).sum(axis=0) for fold in range(4)]
    assert np.ptp(counts, axis=0).max() <= 2
