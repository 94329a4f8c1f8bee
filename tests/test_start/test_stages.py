"""Stages that are finished are not repeated, and a folder belongs to one run."""

import itertools
import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny_run import load_main

from mmpretrain_mldecoder.datasets.label_files import Answers
from mmpretrain_mldecoder.errors import RunError
from mmpretrain_mldecoder.start import stages
from mmpretrain_mldecoder.start.stages import (
    RunFolder,
    mldecoder,
    train_and_export,
    write_inputs,
)
from mmpretrain_mldecoder.start.summary import summary


def test_a_stage_is_done_once_also_by_another_process(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, '_CONSOLE', [sys.executable, '-c', 'raise SystemExit(2)'])
    done = []
    run = RunFolder(tmp_path / 'run', dict(data='a'))
    run.once('one', lambda: done.append(1))
    with pytest.raises(RunError):
        run.once('two', lambda: mldecoder('no-such-command'))
    again = RunFolder(tmp_path / 'run', dict(data='a'))
    again.once('one', lambda: done.append(1))
    again.once('two', lambda: done.append(2))
    assert done == [1, 2]
    assert RunFolder(tmp_path / 'run', dict(data='a')).finished == ['one', 'two']


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'a.jpg').touch()
    with pytest.raises(ValueError, match='--out'):
        RunFolder(tmp_path, {})
    with pytest.raises(ValueError, match='--out'):
        RunFolder(tmp_path / 'a.jpg', {})


def test_other_settings_are_refused_by_name(tmp_path):
    RunFolder(tmp_path / 'run', dict(data='a', epochs=None)).store()
    with pytest.raises(ValueError, match=r'epochs = None.*3.*--out'):
        RunFolder(tmp_path / 'run', dict(data='a', epochs=3))


@pytest.mark.parametrize('content', ['', '[]', '{"finished": []}', '{"settings": {}, "fin'])
def test_a_damaged_state_is_named(tmp_path, content):
    (tmp_path / 'start.json').write_text(content)
    for read in (RunFolder.open, lambda path: RunFolder(path, dict(data='a'))):
        with pytest.raises(ValueError, match=r'start\.json is damaged .*--out'):
            read(tmp_path)


@pytest.mark.parametrize('option', ['--epochs', '--batch-size'])
def test_counts_below_one_are_refused_before_anything_is_written(tmp_path, option, capsys):
    with pytest.raises(SystemExit):
        load_main('start')([str(tmp_path), '--out', str(tmp_path / 'run'), option, '0'])
    assert f'{option} must be at least 1, got 0' in capsys.readouterr().err
    assert not (tmp_path / 'run').exists()


def test_a_folder_among_the_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match='--out'):
        RunFolder(tmp_path / 'data/run', dict(data=str(tmp_path / 'data')))
    assert not (tmp_path / 'data').exists()


def test_labels_that_changed_are_refused(tmp_path):
    pytest.importorskip('iterstrat')
    data, rows = tmp_path / 'data', ['image,labels']
    data.mkdir()
    for i in range(40):
        Image.new('RGB', (8, 8), (i, 0, 0)).save(data / f'{i}.png')
        rows.append(f'{i}.png,{"cat|dog" if i % 3 else "dog"}')
    (data / 'labels.csv').write_text('\n'.join(rows))
    settings = dict(data=str(data), seed=0, row=None, epochs=1, batch_size=None, unknown=None)
    for _ in range(2):
        write_inputs(RunFolder(tmp_path / 'run', settings), data, Answers())
    (data / 'labels.csv').write_text('\n'.join(rows).replace('\n3.png,dog', '\n3.png,cat'))
    with pytest.raises(ValueError, match=r'40 images, 2 classes.*--out'):
        write_inputs(RunFolder(tmp_path / 'run', settings), data, Answers())


def test_a_label_file_of_the_working_directory_is_found_from_another_one(tmp_path, monkeypatch):
    pytest.importorskip('iterstrat')
    data = tmp_path / 'data'
    data.mkdir()
    for i in range(40):
        Image.new('RGB', (8, 8), (i, 0, 0)).save(data / f'{i}.png')
    rows = [f'{i}.png,{"cat|dog" if i % 3 else "dog"}' for i in range(40)]
    (tmp_path / 'my.csv').write_text('\n'.join(['image,labels', *rows]))
    settings = dict(data=str(data), seed=0, row=None, epochs=1, batch_size=None, unknown=None)
    for folder in (tmp_path, data):
        monkeypatch.chdir(folder)
        write_inputs(RunFolder(tmp_path / 'run', settings), data, Answers(labels='my.csv'))


def test_a_config_is_written_again_if_it_was_deleted_and_kept_if_it_was_edited(tmp_path):
    pytest.importorskip('iterstrat')
    data = tmp_path / 'data'
    for i in range(40):
        (data / 'ab'[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (i, 0, 0)).save(data / 'ab'[i % 2] / f'{i}.png')
    settings = dict(data=str(data), seed=0, row=None, epochs=1, batch_size=None, unknown=None)

    def config() -> Path:
        run = RunFolder(tmp_path / 'run', settings)
        write_inputs(run, data, Answers())
        return run.config

    text = config().read_text()
    config().unlink()
    assert config().read_text() == text
    config().write_text(text + '# mine')
    assert config().read_text() == text + '# mine'


MODEL = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    head=dict(type='MultiLabelLinearClsHead', num_classes=2, in_channels=64),
)


@pytest.fixture
def run(tmp_path):
    """A run with 3 images for training and 2 for val."""
    for split, images in (('train', [0, 1, 4]), ('val', [2, 3]), ('test', [5])):
        annotations = [dict(id=i, image_id=image, category_id=0) for i, image in enumerate(images)]
        write_json(
            tmp_path / f'run/labels/{split}.json',
            dict(
                images=[dict(id=i, file_name=f'{i}.jpg') for i in images], annotations=annotations
            ),
        )
    run = RunFolder.__new__(RunFolder)
    run.answers = run.described = None
    run.path, run.settings, run.finished = tmp_path / 'run', dict(data='photos'), []
    run.store()
    run.config.write_text(f'model = {MODEL}')
    return run


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


class Commands:
    """Stands for ``mldecoder``: remembers what is called and leaves the files it would leave."""

    def __init__(self):
        self.called, self.fails, self.truncated = [], [], []
        self.keeps_best = True

    def __call__(self, name, *arguments, allowed=(0,), log=None):
        self.called.append((name, *arguments))
        assert (log is not None) == (name in ('train', 'thresholds', 'test'))
        if name in self.fails:
            raise RunError(name)
        values = dict(itertools.pairwise(arguments))
        if name == 'browse':
            found = dict(code='truncated', entries=[dict(path=path) for path in self.truncated])
            write_json(values['--out-dir'] / 'findings.json', dict(findings=[found]))
        if name == 'train':
            folder = values['--work-dir']
            folder.mkdir()
            torch.save(dict(state_dict={}, meta={}), folder / 'epoch_9.pth')
            (folder / 'last_checkpoint').write_text(str(folder / 'epoch_9.pth'))
            if '--no-validate' not in arguments and self.keeps_best:
                (folder / 'best_coco_mAP_epoch_3.pth').touch()
        if name == 'thresholds':
            torch.save(dict(state_dict={}, meta=dict(thresholds='fitted')), values['--out'])


@pytest.fixture
def commands(monkeypatch):
    commands = Commands()
    monkeypatch.setattr(stages, 'mldecoder', commands)
    return commands


def test_commands_in_turn_and_from_where_it_stopped(run, commands):
    commands.fails.append('test')
    with pytest.raises(RunError):
        train_and_export(run)
    names = [name for name, *_ in commands.called]
    assert names == ['browse', 'train', 'thresholds', 'train', 'test']
    commands.fails.clear()
    train_and_export(RunFolder(run.path, {}))
    assert [name for name, *_ in commands.called[5:]] == ['test', 'report', 'export']


def test_the_model_has_learned_from_val_where_images_are_few(run, commands):
    train_and_export(run)
    cfg = Config.fromfile(commands.called[3][1], import_custom_modules=False)
    assert cfg.train_cfg.max_epochs == 3
    labels = json.loads(Path(cfg.train_dataloader.dataset.ann_file).read_text())
    assert [each['id'] for each in labels['images']] == [0, 1, 4, 2, 3]
    assert [each['image_id'] for each in labels['annotations']] == [0, 1, 4, 2, 3]
    assert [each['id'] for each in labels['annotations']] == [0, 1, 2, 3, 4]
    assert torch.load(run.model)['meta'] == dict(thresholds='fitted')
    assert commands.called[2][2] == run.path / 'train/best_coco_mAP_epoch_3.pth'


def test_where_no_best_checkpoint_is_kept_the_last_epoch_counts(run, commands):
    commands.keeps_best = False
    train_and_export(run)
    assert commands.called[2][2] == run.path / 'train/epoch_9.pth'
    cfg = Config.fromfile(commands.called[3][1], import_custom_modules=False)
    assert 'train_cfg' not in cfg


@pytest.mark.parametrize('pooling', ['GlobalAveragePooling', 'GeneralizedMeanPooling'])
def test_report_has_the_attention_of_models_that_have_some(run, commands, pooling):
    run.config.write_text(f'model = {dict(MODEL, neck=dict(type=pooling))}')
    train_and_export(run)
    (report,) = (arguments for arguments in commands.called if arguments[0] == 'report')
    assert ('--checkpoint' in report) == (pooling == 'GlobalAveragePooling')


def test_images_that_cannot_be_read_are_left_out(run, commands, capsys):
    commands.truncated.append('photos/3.jpg')
    train_and_export(run)
    val = json.loads((run.labels / 'val.json').read_text())
    assert val['images'] == [dict(id=2, file_name='2.jpg')]
    assert [each['image_id'] for each in val['annotations']] == [2]
    assert 'left out: 1 image of val: 3.jpg' in capsys.readouterr().out
    run.finished = []
    commands.truncated.append('photos/5.jpg')
    with pytest.raises(RunError, match='no image of test can be read'):
        train_and_export(run)


def test_many_images_are_trained_on_once(run, commands, monkeypatch):
    monkeypatch.setattr(stages, 'FEW_IMAGES', 3)
    train_and_export(run)
    assert [name for name, *_ in commands.called].count('train') == 1


def test_a_training_without_a_checkpoint_is_an_error(tmp_path):
    with pytest.raises(RunError, match='no checkpoint'):
        _ = RunFolder(tmp_path / 'run', dict(data='a')).checkpoint


def test_long_logs_are_shown_in_short(tmp_path, capfd, monkeypatch):
    script = tmp_path / 'program.py'
    script.write_text(
        "print('01/02 03:04:05 - mmengine - INFO - Environment:\\n  sys.platform: linux')\n"
        "print('01/02 03:04:06 - mmengine - INFO - Epoch(val) [1][1/1]    coco/mAP: 21.28')\n"
        "print('class  threshold')\n"
        "raise SystemExit(3 if 'fail' in __import__('sys').argv else 0)\n"
    )
    log = tmp_path / 'log.txt'
    monkeypatch.setattr(stages, '_CONSOLE', [sys.executable, str(script)])
    mldecoder('thresholds', log=log)
    assert capfd.readouterr().out.splitlines()[1:] == [
        '$ mldecoder thresholds',
        'Epoch(val) [1][1/1]    coco/mAP: 21.28',
        'class  threshold',
    ]
    assert 'sys.platform' in log.read_text()
    with pytest.raises(RunError, match=r'status 3.*\nclass  threshold'):
        mldecoder('thresholds', 'fail', log=log)
    mldecoder('thresholds', 'fail', log=log, allowed=(0, 3))


@pytest.mark.parametrize('difficult', ['unknown', 'negative'])
def test_the_summary_says_what_is_not_in_the_map(run, difficult):
    """Classes: in one image, in each known one, in none."""
    labels = [(0, 0, {}), (0, 1, {}), (1, 1, {}), (2, 1, dict(ignore=1))]
    write_json(
        run.labels / 'test.json',
        dict(
            images=[dict(id=i) for i in range(3)],
            annotations=[dict(image_id=i, category_id=c) | more for i, c, more in labels],
            categories=[dict(id=c, name=name) for c, name in enumerate('abc')],
        ),
    )
    for split in ('train', 'val'):
        (run.labels / f'{split}.json').unlink()
    pipeline = [dict(type='PackMultiLabelInputs', difficult=difficult)]
    run.config.write_text(f'test_dataloader = dict(dataset=dict(pipeline={pipeline}))')
    finished = dict(config='', checkpoint='', weights='ema', metrics={'coco/mAP': 12.3456})
    finished |= dict(images=3, settings='', date='2026-01-01T00:00:00Z', versions={})
    write_json(run.path / 'test/1/test_1.json', finished)
    text = summary(run)
    assert 'mAP 12.35 on 3 test images' in text
    assert ('counted as absent' in text) == (difficult == 'negative')
    assert f'{1 if difficult == "negative" else 2} of 3 classes have no AP' in text
    assert f'{2 if difficult == "negative" else 1} of 3 classes have an AP of fewer' in text
