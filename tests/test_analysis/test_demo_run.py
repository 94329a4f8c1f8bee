import os
from datetime import datetime, timezone
from functools import partial

import msgspec
import pytest
import torch

from mmpretrain_mldecoder.analysis import demo
from mmpretrain_mldecoder.analysis.demo import best_checkpoint, read_test_metrics, run_demo
from mmpretrain_mldecoder.engine.runners.finished_test import FinishedTest
from mmpretrain_mldecoder.errors import RunError


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


def test_interrupted_training_is_resumed(tmp_path, monkeypatch):
    """With tools that only leave the files behind that are looked for."""
    monkeypatch.setattr(demo, 'make_demo_dataset', lambda data: None)
    monkeypatch.setattr(demo, '_predict', lambda config, checkpoint, out: out)
    monkeypatch.setattr(demo, 'plot_curves', lambda work_dir, out: out)
    (tmp_path / 'tiny.py').write_text('train_cfg = dict(max_epochs=2)\n')
    work_dir = tmp_path / 'work'
    work_dir.mkdir()
    for name in ('epoch_1.pth', 'best_coco_mAP_epoch_1.pth'):
        torch.save({}, work_dir / name)
    calls, notes = [], []

    def leave(files, name, *args):
        calls.append((name, *args))
        (work_dir / 'test').mkdir(exist_ok=True)
        for file in files.get(name, ()):
            write_result(work_dir / file, 1.0)

    run = partial(run_demo, tmp_path / 'tiny.py', tmp_path / 'data', work_dir, note=notes.append)
    tools = {
        'train.py': ('epoch_2.pth', 'best_coco_mAP_epoch_2.pth'),
        'test.py': ('test/test_20240101_000000.json',),
    }
    with pytest.raises(KeyError, match='mAP_raw'):  # of the result above
        run(run_tool=partial(leave, tools))
    assert [call[0] for call in calls] == ['train.py', 'test.py']
    assert calls[0][-5] == '--resume' and calls[0][-1].endswith(f'data_root={tmp_path / "data"}')
    assert calls[1][2] == work_dir / 'best_coco_mAP_epoch_2.pth'
    assert f'continuing from {work_dir / "epoch_1.pth"}' in notes[2]
    with pytest.raises(KeyError):  # the second time there is nothing left to do
        run(run_tool=partial(leave, tools))
    assert len(calls) == 2 and sum('is reused' in note for note in notes) == 4

    (work_dir / 'best_coco_mAP_epoch_1.pth').unlink()
    (work_dir / 'best_coco_mAP_epoch_2.pth').unlink()
    with pytest.raises(RunError, match='left no best checkpoint'):
        run(run_tool=partial(leave, {}))
