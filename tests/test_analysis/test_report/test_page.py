import json
import os
import re
import sys

import numpy as np
import pytest
from PIL import Image
from prediction_dumps import random_run, write_classes_config, write_dump

from mmpretrain_mldecoder.analysis.report import write_report
from mmpretrain_mldecoder.analysis.report.test_run import read_test_run
from mmpretrain_mldecoder.evaluation import average_precision

pytest.importorskip('plotly')

HOSTILE = [
    '</script><script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    'it\'s "ü" 猫 & <b>',
]


def read_data(page) -> dict:
    (text,) = re.findall(r'<script id="data"[^>]*>(.*?)</script>', page.read_text(), re.S)
    return json.loads(text)


@pytest.fixture
def run(tmp_path):
    """A config of three classes and a dump of 40 images, of which every other is there."""
    scores, targets = random_run(40, 3)
    images = [str(tmp_path / f'{i:02d}.jpg') for i in range(40)]
    for image in images[::2]:
        Image.new('RGB', (64, 48)).save(image)
    config = write_classes_config(tmp_path / 'three.py', ['cat', 'dog', 'cow'])
    return config, write_dump(tmp_path / 'a.pkl', scores, targets, images=images)


def test_page_says_what_is_missing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the config has no data_root
    data = read_data(write_report(*run, tmp_path / 'report', thumbnails=5))
    assert [series['name'] for series in data['series']] == ['tested']
    assert 'To see EMA beside raw, test without' in data['notes'][0]
    assert 'images could not be read' in data['notes'][1]
    assert 'PackMultiLabelInputs' in data['noSizes']
    (errors,) = data['errors']
    assert len(errors['alarms']) == len(errors['misses']) == 5
    assert {card['image'] is None for card in errors['alarms'] + errors['misses']} == {True, False}


def test_both_weights_and_sizes(tmp_path):
    config = write_classes_config(tmp_path / 'three.py', ['cat', 'dog', 'cow'])
    scores, targets = random_run(40, 3)
    dump = write_dump(tmp_path / 'a.pkl', scores, targets, raw=scores**2, areas=50.0)
    other = write_dump(tmp_path / 'b.pkl', np.sqrt(scores), targets)
    data = read_data(write_report(config, dump, tmp_path, thumbnails=0))
    assert [series['name'] for series in data['series']] == ['EMA', 'raw']
    assert data['noSizes'] is None
    assert data['errors'][0]['alarms'] == data['errors'][0]['misses'] == []
    data = read_data(write_report(config, dump, tmp_path, compare=other, thumbnails=0))
    assert [series['name'] for series in data['series']] == ['A: EMA', 'A: raw', 'B: tested']
    assert len(data['runs']) == 2


def test_each_run_has_its_own_errors(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, dump = run
    first = read_test_run(dump)
    moved = [f'/elsewhere/{os.path.basename(image)}' for image in first.images]
    other = write_dump(tmp_path / 'b.pkl', 1 - first.scores, first.targets, images=moved)
    data = read_data(write_report(config, dump, tmp_path, compare=other, thumbnails=4))
    for errors, scores in zip(data['errors'], (first.scores, 1 - first.scores), strict=True):
        for kind, value, sign in (('alarms', 0, 1), ('misses', 1, -1)):
            worst = sorted(
                (max(sign * s for s, t in zip(row, target, strict=True) if t == value)
                 for row, target in zip(scores.tolist(), first.targets, strict=True)
                 if value in target), reverse=True,
            )  # fmt: skip
            shown = [sign * card['score'] for card in errors[kind]]
            assert shown == pytest.approx(worst[:4], abs=1e-4)
            assert all(card['file'] in first.images for card in errors[kind])  # where they are


@pytest.mark.parametrize('areas', [0.0, np.nan])
def test_what_the_data_do_not_say_is_not_shown(tmp_path, areas):
    config = write_classes_config(tmp_path / 'three.py', ['cat', 'dog', 'cow'])
    config.write_text(
        config.read_text() + "test_evaluator = dict(type='MultiLabelMAP', map_type='envelope')\n"
    )
    scores, targets = random_run(40, 3)
    targets[:, 2] = 1  # nothing to rank
    dump = write_dump(tmp_path / 'a.pkl', scores, targets, areas=areas)
    data = read_data(write_report(config, dump, tmp_path, thumbnails=0))
    (series,) = data['series']
    assert 'an area or a bbox' in data['noSizes'] and series['sizes'] == []
    assert 'PackMultiLabelInputs' not in data['noSizes']  # which it had
    assert series['ap'][2] is None and None not in series['ap'][:2]
    assert sum(third['classes'] for third in series['thirds']) == 2
    expected = 100 * average_precision(scores, targets, 'envelope')[:2]
    np.testing.assert_allclose(series['ap'][:2], expected, atol=1e-6)
    assert any("map_type='envelope'" in note for note in data['notes'])


def test_unknown_labels_are_neither_positive_nor_negative(tmp_path):
    config = write_classes_config(tmp_path / 'three.py', ['cat', 'dog', 'cow'])
    scores, targets = random_run(40, 3)
    targets[5:20, 1] = -1
    targets[:, 2] = np.where(targets[:, 2] == 1, 1, -1)
    targets[:4] = [[0, 0, 0], [0, 0, -1], [-1, -1, -1], [0, 1, 0]]
    data = read_data(
        write_report(config, write_dump(tmp_path / 'a.pkl', scores, targets), tmp_path)
    )
    assert data['unlabelled'] == 1  # of the others it is not known
    for name, label in (('positives', 1), ('negatives', 0)):
        assert data[name] == [sum(row[c] == label for row in targets.tolist()) for c in range(3)]
    assert data['unknown'] == 3 * 40 - sum(data['positives']) - sum(data['negatives'])


def test_needs_no_network_and_ends_no_block(tmp_path):
    config = write_classes_config(tmp_path / 'a.py', HOSTILE)
    scores, targets = random_run(40, 3)
    images = [f'{i}</script><script>alert(2)</script>\udcff.jpg' for i in range(40)]
    dump = write_dump(tmp_path / 'a.pkl', scores, targets, images=images)
    page = write_report(config, dump, tmp_path / 'report')
    data = read_data(page)
    assert data['classes'] == HOSTILE
    assert data['errors'][0]['alarms'][0]['file'].endswith('\udcff.jpg')
    assert 'alert(1)</script>' not in page.read_text()
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)=["\']?http', page.read_text())


def test_errors(run, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r'thr must be in \[0, 1\], but got 1.5'):
        write_report(*run, tmp_path, thr=1.5)
    with pytest.raises(ValueError, match='thumbnails must be at least 0, but got -1'):
        write_report(*run, tmp_path, thumbnails=-1)
    monkeypatch.setitem(sys.modules, 'plotly.offline', None)  # as if it were not installed
    with pytest.raises(ModuleNotFoundError, match='pip install plotly'):
        write_report(*run, tmp_path)


def test_classes_without_names(run, tmp_path):
    config = tmp_path / 'nameless.py'
    config.write_text(run[0].read_text().replace(", classes=['cat', 'dog', 'cow']", ''))
    data = read_data(write_report(config, run[1], tmp_path))
    assert data['classes'] == ['class 0', 'class 1', 'class 2']
    assert 'The classes have no names: ' in data['notes'][-1] and 'absent.json' in data['notes'][-1]


def test_classes_are_those_that_were_tested(run, tmp_path):
    config = tmp_path / 'other.py'
    dump = write_dump(tmp_path / 'c.pkl', *random_run(30, 3), classes=('cat', 'dog', 'cow'))
    assert read_data(write_report(run[0], dump, tmp_path))['classes'] == ['cat', 'dog', 'cow']
    config.write_text(run[0].read_text().replace("['cat', 'dog', 'cow']", "['dog', 'cat', 'cow']"))
    with pytest.raises(ValueError, match=r"class 0 is 'cat' in .*c\.pkl and 'dog' in the test"):
        write_report(config, dump, tmp_path)
    config.write_text(run[0].read_text().replace(", classes=['cat', 'dog', 'cow']", ''))
    assert read_data(write_report(config, dump, tmp_path))['classes'] == ['cat', 'dog', 'cow']


def test_only_images_of_the_dataset_are_copied_into_the_page(tmp_path):
    data, private = tmp_path / 'data', tmp_path / 'private'
    for folder in (data / 'val', private, tmp_path / 'data2'):
        folder.mkdir(parents=True)
        Image.new('RGB', (8, 8)).save(folder / 'a.jpg')
    (data / 'val' / 'link.jpg').symlink_to(private / 'a.jpg')
    images = [
        str(data / 'val' / 'a.jpg'),
        str(data / 'val' / '..' / '..' / 'private' / 'a.jpg'),
        str(private / 'a.jpg'),
        str(tmp_path / 'data2' / 'a.jpg'),
        str(data / 'val' / 'link.jpg'),
        'nul\0.jpg',
    ]
    scores = np.tile(np.float32([0.9, 0.1]), (6, 1))
    targets = np.tile(np.int8([0, 1]), (6, 1))
    dump = write_dump(tmp_path / 'predictions.pkl', scores, targets, images=images)
    config = write_classes_config(tmp_path / 'c.py', ['ant', 'bee'], str(data))
    page = write_report(config, dump, tmp_path / 'report')
    content = read_data(page)
    for kind in ('alarms', 'misses'):
        cards = content['errors'][0][kind]
        shown = {card['file']: card['image'] is not None for card in cards}
        assert shown == {image: image in (images[0], images[4]) for image in images}
    assert any(note.startswith('8 of 12 images are not shown') for note in content['notes'])
