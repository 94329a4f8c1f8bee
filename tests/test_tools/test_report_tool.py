import json
import re

import pytest
from prediction_dumps import random_run, write_classes_config, write_dump
from tiny_run import load_tool, refusal, write_tiny_config

pytest.importorskip('plotly')

run_train, run_test, run_report = load_tool('train'), load_tool('test'), load_tool('report')
run_export = load_tool('analysis_tools/export_fiftyone')


@pytest.fixture(scope='module')
def tested(tmp_path_factory):
    """The config and the dump of a test of both weights, and its metrics."""
    folder = tmp_path_factory.mktemp('report')
    sizes = "test_pipeline[-1] = dict(type='PackMultiLabelInputs')\n"  # as a report advises
    config = write_tiny_config(folder, "train_cfg['max_epochs'] = 1\n" + sizes)
    run_train(config, '--work-dir', folder / 'run')
    dump = folder / 'predictions.pkl'
    options = ['--out', dump, '--work-dir', folder / 'test']
    return config, dump, run_test(config, folder / 'run' / 'epoch_1.pth', *options)


def test_report_has_the_numbers_of_the_test(tested, tmp_path, capsys):
    config, dump, metrics = tested
    page = run_report(config, dump, '--out', tmp_path / 'report', '--thumbnails', 3)
    assert f'{tmp_path}/report/index.html: ' in capsys.readouterr().out
    (text,) = re.findall(r'<script id="data"[^>]*>(.*?)</script>', page.read_text(), re.S)
    data = json.loads(text)
    found = {series['name']: series['mAP'] for series in data['series']}
    expected = dict(EMA=metrics['coco/mAP'], raw=metrics['coco/mAP_raw'])
    assert found == pytest.approx(expected, abs=1e-5)
    assert data['noSizes'] is None and data['notes'] == []
    assert all(card['image'] for card in data['errors'][0]['alarms'])


def test_attention_lies_over_the_images(tested, tmp_path, capsys):
    config, dump, _ = tested
    checkpoint = config.parent / 'run' / 'epoch_1.pth'
    options = ['--out', tmp_path, '--checkpoint', checkpoint, '--thumbnails', 2]
    text = run_report(config, dump, *options).read_text()
    data = json.loads(re.findall(r'<script id="data"[^>]*>(.*?)</script>', text, re.S)[0])
    errors = data['errors'][0]
    for card in errors['alarms'] + errors['misses']:
        assert card['attention'].startswith('data:image/jpeg;base64,')
        assert card['attention'] != card['image'] and card['shares'] == []
    compared = run_report(config, dump, *options, '--compare', dump).read_text()
    assert 'images of B have none' in compared
    other = ['--cfg-options', 'model.head.embed_dims=16']
    assert 'of another shape' in refusal(capsys, run_report, config, dump, *options, *other)
    absent = ['--checkpoint', 'absent.pth']
    assert 'no checkpoint at' in refusal(capsys, run_report, config, dump, *absent)


def test_export_names_images_that_are_there(tested, tmp_path, capsys):
    config, dump, _ = tested
    run_export(config, dump, tmp_path)
    labels = json.loads((tmp_path / 'ground_truth.json').read_text())['labels']
    assert len(labels) == 7
    assert 'not where' not in capsys.readouterr().out


@pytest.mark.parametrize('tool', ['report', 'analysis_tools/export_fiftyone'])
@pytest.mark.parametrize(
    ('config', 'predictions', 'message'),
    [
        ('absent.py', 'a.pkl', 'no config at'),
        ('three.py', 'absent.pkl', 'no predictions at'),
        ('three.py', 'three.py', 'is no pickle of predictions'),
        ('two.py', 'a.pkl', 'tests 2 classes, but the predictions have 3'),
    ],
)
def test_errors_are_short(tmp_path, capsys, tool, config, predictions, message):
    write_classes_config(tmp_path / 'three.py', ['cat', 'dog', 'cow'])
    write_classes_config(tmp_path / 'two.py', ['cat', 'dog'])
    write_dump(tmp_path / 'a.pkl', *random_run(9, 3))
    out = tmp_path / 'out'
    files = [tmp_path / config, tmp_path / predictions, *['--out'] * (tool == 'report'), out]
    assert message in refusal(capsys, load_tool(tool), *files)
    assert not out.exists()
