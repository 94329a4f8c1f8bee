import json
import os

import pytest

from mmpretrain_mldecoder.analysis.demo import (
    best_checkpoint,
    is_trained,
    newest_log,
    read_test_metrics,
)


def test_best_checkpoint_is_that_of_the_latest_epoch(tmp_path):
    assert best_checkpoint(tmp_path) is None
    for epoch in (2, 10):
        (tmp_path / f'epoch_{epoch}.pth').touch()
    assert best_checkpoint(tmp_path) is None
    for epoch in (9, 10, 8):
        (tmp_path / f'best_coco_mAP_epoch_{epoch}.pth').touch()
    assert best_checkpoint(tmp_path).name == 'best_coco_mAP_epoch_10.pth'


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        ([], False),
        (['epoch_3.pth'], False),
        (['best_coco_mAP_epoch_2.pth', 'epoch_2.pth'], False),
        (['best_coco_mAP_epoch_2.pth', 'epoch_3.pth'], True),
    ],
)
def test_is_trained(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).touch()
    assert is_trained(tmp_path, max_epochs=3) is expected


def test_newest_log(tmp_path):
    assert newest_log(tmp_path) is None
    for time in ('20240102_000000', '20240101_235959'):
        (tmp_path / time).mkdir()
        (tmp_path / time / f'{time}.log').touch()
    assert newest_log(tmp_path).name == '20240102_000000.log'


def test_metrics_of_the_latest_test_that_is_younger_than_the_checkpoint(tmp_path):
    checkpoint = tmp_path / 'best_coco_mAP_epoch_2.pth'
    checkpoint.touch()
    assert read_test_metrics(tmp_path, checkpoint) is None
    for time, value in (('20240101_000000', 50.0), ('20240102_000000', 60.0)):
        (tmp_path / time / 'vis_data').mkdir(parents=True)
        (tmp_path / time / 'vis_data' / 'scalars.json').write_text('not a test result')
        (tmp_path / time / f'{time}.json').write_text(json.dumps({'coco/mAP': value}))
    assert read_test_metrics(tmp_path, checkpoint) == {'coco/mAP': 60.0}
    later = checkpoint.stat().st_mtime + 100
    os.utime(checkpoint, (later, later))
    assert read_test_metrics(tmp_path, checkpoint) is None


@pytest.mark.parametrize(
    'content',
    [b'', b'{"coco/mAP": 5', b'[]', b'{}', b'3', b'null', b'\xff', b'\x80\x04.', b'[' * 100_000],
    ids=lambda content: repr(content[:10]),
)
def test_damaged_metrics_are_none_and_named(tmp_path, content):
    (tmp_path / 'best.pth').touch()
    path = tmp_path / '20240101_000000' / '20240101_000000.json'
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f'{path} does not tell the metrics of a test: '):
        assert read_test_metrics(tmp_path, tmp_path / 'best.pth') is None
