"""An audit from a run to a corrected label file."""

import csv
import json
import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from flipped_labels import MISSING, SPURIOUS, start_run
from mmengine.config import Config
from PIL import Image
from tiny_run import load_main

from mmpretrain_mldecoder.analysis.audit import features
from mmpretrain_mldecoder.analysis.audit.features import backbone_features, kept_features
from mmpretrain_mldecoder.apis.inference.image_inputs import ImagePipeline
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
    assert 'not judged: 1 image\n' in printed and 'do not: 1 class: ' in printed
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


def test_missing_labels_are_found_where_positives_alone_are_known(run, tmp_path):
    data, again = run.parent / 'data', tmp_path / 'run'
    with (data / 'labels.csv').open(newline='') as file:
        rows = {row['image']: row['colours'].split('|') for row in csv.DictReader(file)}
    labels = tmp_path / 'positives.csv'
    with labels.open('w', newline='') as file:
        csv.writer(file).writerows(
            [['image', 'red', 'blue']]
            + [[image, *(1 if name in found else '' for name in ('red', 'blue'))]
               for image, found in rows.items()]
        )  # fmt: skip
    options = ['--labels', str(labels), '--empty', 'unknown', '--row', 'linear_lite0_frozen']
    load_main('start')([str(data), '--out', str(again), '--dry-run', *options])
    load_main('audit')([str(again)])
    with (again / 'audit/suspicions.csv').open(newline='') as file:
        first = next(csv.DictReader(file))
    assert (first['image'], first['class'], first['suspicion']) == (MISSING, 'red', 'missing')


def test_the_command_that_is_printed_starts_with_the_corrected_labels(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for i in range(40):
        name = Path('my data', ('cat', 'dog')[i % 2], f'{i}.png')
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (i, 0, 0)).save(name)
    start = load_main('start')
    start(['my data', '--dry-run', '--row', 'linear_lite0_frozen'])
    decision = dict(image='cat/0.png', suspicion='missing', accepted=True) | {'class': 'dog'}
    Path('decisions.json').write_text(json.dumps(dict(decisions=[decision])))
    load_main('audit')(['work_dirs/start/my data', '--apply', 'decisions.json'])
    *_, said = capsys.readouterr().out.splitlines()
    command = shlex.split(said.partition('mldecoder start ')[2])
    start([*command, '--dry-run', '--row', 'linear_lite0_frozen'])
    run = RunFolder.open(Path(command[command.index('--out') + 1]))
    labels = [json.loads(path.read_text())['annotations'] for path in run.labels.glob('*.json')]
    assert sum(map(len, labels)) == 41


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


def test_features_are_those_of_the_backbone_as_training_starts(run, tmp_path):
    cfg = Config.fromfile(run / 'config.py')
    images = [str(run.parent / 'data' / name) for name in ('red1.jpg', 'gone.jpg', 'blue2.jpg')]
    found, unreadable = backbone_features(cfg, images)
    assert [*unreadable] == [1] and not found[1].any()
    one, _ = backbone_features(cfg, images[2:])
    np.testing.assert_allclose(found[2], one[0], rtol=1e-3, atol=1e-4)
    assert np.abs(found[0] - found[2]).max() > 0.1
    with pytest.raises(RunError, match='none of 1 images'):
        kept_features(cfg, images[1:2], tmp_path)
    cfg.model.backbone.pop('init_cfg')
    with pytest.raises(RunError, match='init_cfg'):
        backbone_features(cfg, images)


def test_features_that_were_computed_are_not_computed_again(run, tmp_path, monkeypatch):
    """Interrupted in the third block; then one image, and the weights, are others."""
    read, stops_at = [], ['blue5.jpg']

    class Pipeline(ImagePipeline):
        def __call__(self, path):
            read.append(Path(path).name)
            if read[-1] in stops_at:
                raise KeyboardInterrupt
            return super().__call__(path)

    monkeypatch.setattr(features, 'ImagePipeline', Pipeline)
    monkeypatch.setattr(features, 'BLOCK', 2)
    cfg = Config.fromfile(run / 'config.py')
    cfg.test_dataloader.num_workers = 0
    images = []
    for number in range(1, 7):
        images.append(str(tmp_path / f'blue{number}.jpg'))
        shutil.copy(run.parent / 'data' / f'blue{number}.jpg', images[-1])
    (tmp_path / 'blue2.jpg').write_bytes(b'no image')
    names, folder = [Path(image).name for image in images], tmp_path / 'features'
    with pytest.raises(KeyboardInterrupt):
        kept_features(cfg, images, folder)
    stops_at.clear()
    read.clear()
    found, unreadable = kept_features(cfg, images, folder)
    assert read == names[4:] and [*unreadable] == [1]
    expected, _ = backbone_features(cfg, images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

    read.clear()
    os.utime(images[0], (1, 1))
    np.testing.assert_array_equal(kept_features(cfg, images, folder)[0], found)
    assert read == names[:2] and len([*folder.iterdir()]) == 3
    backbone = torch.nn.Module.state_dict
    monkeypatch.setattr(
        torch.nn.Module, 'state_dict',
        lambda self, *args, **kwargs: {'new': torch.ones(1), **backbone(self, *args, **kwargs)},
    )  # fmt: skip
    read.clear()
    kept_features(cfg, images, folder)
    assert read == names and len([*folder.iterdir()]) == 3


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
