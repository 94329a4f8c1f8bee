import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmpretrain_mldecoder.engine.runners.finished_test import read_finished_test, settings_digest

ROW = Path(__file__).parents[3] / 'configs/mldecoder/r50_coco.py'


@pytest.mark.parametrize(
    'options',
    [
        {'test_dataloader.dataset.data_root': '/elsewhere'},
        {'test_dataloader.dataset.ann_file': 'a.json', 'test_dataloader.dataset.data_prefix': 'b'},
        {'test_dataloader.batch_size': 1, 'test_dataloader.num_workers': 0},
        {'test_evaluator.per_class': True, 'test_evaluator.with_f1': True},
        {'model.backbone.init_cfg': None},
        {'work_dir': 'a', 'load_from': 'b'},
    ],
)
def test_settings_that_leave_the_number_alone(options):
    cfg = Config.fromfile(ROW)
    cfg.merge_from_dict(options)
    assert settings_digest(cfg) == settings_digest(Config.fromfile(ROW))


@pytest.mark.parametrize(
    'options',
    [
        {'model.head.num_groups': 10},
        {'model.backbone.depth': 101},
        {'data_preprocessor.std': [58.0, 57.0, 57.0]},
        {'test_dataloader.dataset.pipeline.1.scale': 448},
        {'test_dataloader.dataset.keep_unlabelled': False},
        {'test_evaluator.map_type': '11point'},
        {'test_evaluator.missing_class': 'zero'},
    ],
)
def test_settings_that_move_the_number(options):
    cfg = Config.fromfile(ROW)
    cfg.merge_from_dict(options)
    assert settings_digest(cfg) != settings_digest(Config.fromfile(ROW))


WHOLE = dict(
    config='configs/mldecoder/r50_coco.py',
    checkpoint='best.pth',
    weights='ema',
    metrics={'coco/mAP': 78.4, 'coco/mAP_raw': None},
    images=5000,
    settings='0123456789abcdef',
    date='2026-01-02T03:04:05+01:00',
    versions=dict(torch='2.14.1'),
)


def test_whole_file_is_read(tmp_path):
    path = tmp_path / 'test_1.json'
    path.write_text(json.dumps(WHOLE))
    test = read_finished_test(path)
    assert (test.metrics, test.images) == (WHOLE['metrics'], 5000)
    assert test.date.isoformat() == WHOLE['date']


@pytest.mark.parametrize(
    'content',
    [
        b'',
        json.dumps(WHOLE)[:-20].encode(),
        b'[1, 2]',
        b'\xff\xfe\x00',
        json.dumps(WHOLE | dict(images='5000')).encode(),
        json.dumps(WHOLE | dict(metrics={'coco/mAP': float('nan')})).encode(),
        json.dumps(WHOLE | dict(date='2026-01-02T03:04:05')).encode(),
        json.dumps({k: v for k, v in WHOLE.items() if k != 'weights'}).encode(),
        b'{"x": ' + b'[' * 10**5 + b']' * 10**5 + b'}',
    ],
    ids=[
        'empty',
        'cut off',
        'a list',
        'no text',
        'text',
        'nan',
        'no time zone',
        'no weights',
        'deep',
    ],
)
def test_damaged_file_is_named(tmp_path, content):
    path = tmp_path / 'test_1.json'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'test_1\.json is not the result of a test: '):
        read_finished_test(path)


def test_folder_of_that_name(tmp_path):
    with pytest.raises(ValueError, match='is not the result of a test'):
        read_finished_test(tmp_path)
