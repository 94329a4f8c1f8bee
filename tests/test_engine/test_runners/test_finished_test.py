import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmpretrain_mldecoder.engine.runners.finished_test import read_finished_test, settings_digest

ROW = Path(__file__).parents[3] / 'configs/mldecoder/r50_coco.py'
SAME = {
    'test_dataloader.dataset.data_root': '/elsewhere',
    'test_dataloader.dataset.ann_file': 'a.json',
    'test_dataloader.batch_size': 1,
    'test_evaluator.per_class': True,
    'test_evaluator.with_f1': True,
    'model.backbone.init_cfg': None,
    'work_dir': 'a',
}
OTHER = {
    'model.head.num_groups': 10,
    'model.backbone.depth': 101,
    'data_preprocessor.std': [58.0, 57.0, 57.0],
    'test_dataloader.dataset.pipeline.1.scale': 448,
    'test_dataloader.dataset.keep_unlabelled': False,
    'test_evaluator.map_type': '11point',
}


@pytest.mark.parametrize('key', [*SAME, *OTHER])
def test_settings_that_change_the_metrics(key):
    cfg = Config.fromfile(ROW)
    cfg.merge_from_dict({key: (SAME | OTHER)[key]})
    assert (settings_digest(cfg) == settings_digest(Config.fromfile(ROW))) == (key in SAME)


COMPLETE = dict(
    config='configs/mldecoder/r50_coco.py',
    checkpoint='best.pth',
    weights='ema',
    metrics={'coco/mAP': 78.4, 'coco/mAP_raw': None},
    images=5000,
    settings='0123456789abcdef',
    date='2026-01-02T03:04:05+01:00',
    versions=dict(torch='2.14.1'),
)


def test_complete_file_is_loaded(tmp_path):
    path = tmp_path / 'test_1.json'
    path.write_text(json.dumps(COMPLETE))
    test = read_finished_test(path)
    assert (test.metrics, test.images) == (COMPLETE['metrics'], 5000)
    assert test.date.isoformat() == COMPLETE['date']


@pytest.mark.parametrize(
    'content',
    [
        b'',
        json.dumps(COMPLETE)[:-20].encode(),
        b'[1, 2]',
        b'\xff\xfe\x00',
        json.dumps(COMPLETE | dict(images='5000')).encode(),
        json.dumps(COMPLETE | dict(metrics={'coco/mAP': float('nan')})).encode(),
        json.dumps(COMPLETE | dict(date='2026-01-02T03:04:05')).encode(),
        json.dumps({k: v for k, v in COMPLETE.items() if k != 'weights'}).encode(),
        b'{"x": ' + b'[' * 10**5 + b']' * 10**5 + b'}',
    ],
)
def test_damaged_file_is_named(tmp_path, content):
    path = tmp_path / 'test_1.json'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'test_1\.json is not the result of a test: '):
        read_finished_test(path)
