import os
from datetime import datetime, timezone

import msgspec
import pytest

from mmpretrain_mldecoder.analysis.demo import read_test_metrics
from mmpretrain_mldecoder.checkpoints.resume import best_checkpoint
from mmpretrain_mldecoder.engine.runners.finished_test import FinishedTest


def test_best_checkpoint_is_that_of_the_latest_epoch(tmp_path):
    (tmp_path / 'epoch_10.pth').touch()
    assert best_checkpoint(tmp_path) is None
    for epoch in (9, 10, 8):
        (tmp_path / f'best_coco_mAP_epoch_{epoch}.pth').touch()
    assert best_checkpoint(tmp_path).name == 'best_coco_mAP_epoch_10.pth'


def write_result(path, value: float) -> None:
    date = datetime(2026, 1, 1, tzinfo=timezone.utc)
    test = FinishedTest('c.py', 'best.pth', 'ema', {'coco/mAP': value}, 7, '0', date, {})
    path.write_bytes(msgspec.json.encode(test))


def test_metrics_of_the_latest_test_that_is_younger_than_the_checkpoint(tmp_path):
    checkpoint = tmp_path / 'best_coco_mAP_epoch_2.pth'
    checkpoint.touch()
    assert read_test_metrics(tmp_path, checkpoint) is None
    write_result(tmp_path / 'test_20240101_000000.json', 50.0)
    write_result(tmp_path / 'test_20240102_000000.json', 60.0)
    assert read_test_metrics(tmp_path, checkpoint) == {'coco/mAP': 60.0}
    damaged = tmp_path / 'test_20240103_000000.json'
    damaged.write_text('{"metrics": 5')
    with pytest.warns(UserWarning, match=f'{damaged} is not the result of a test: '):
        assert read_test_metrics(tmp_path, checkpoint) is None
    later = checkpoint.stat().st_mtime + 100
    os.utime(checkpoint, (later, later))
    assert read_test_metrics(tmp_path, checkpoint) is None
