"""Stages that are finished are not repeated, and a folder belongs to one run."""

import sys

import pytest

from mmpretrain_mldecoder.errors import RunError
from mmpretrain_mldecoder.start import stages
from mmpretrain_mldecoder.start.stages import RunFolder, mldecoder, train_and_export


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


def test_other_settings_are_refused_by_name(tmp_path):
    RunFolder(tmp_path / 'run', dict(data='a', epochs=None)).store()
    with pytest.raises(ValueError, match=r'epochs = None.*3.*--out'):
        RunFolder(tmp_path / 'run', dict(data='a', epochs=3))


def test_commands_in_turn_and_from_where_it_stopped(tmp_path, monkeypatch):
    called, fails = [], ['test']

    def fake(name, *arguments, allowed=(0,), log=None):
        called.append(name)
        assert (log is not None) == (name in ('train', 'thresholds', 'test'))
        if name in fails:
            raise RunError(name)
        if name == 'train':
            (tmp_path / 'run/train').mkdir()
            (tmp_path / 'run/train/best_coco_mAP_epoch_3.pth').touch()

    monkeypatch.setattr(stages, 'mldecoder', fake)
    with pytest.raises(RunError):
        train_and_export(RunFolder(tmp_path / 'run', {}))
    assert called == ['browse', 'train', 'thresholds', 'test']
    fails.clear()
    train_and_export(RunFolder(tmp_path / 'run', {}))
    assert called[4:] == ['test', 'report', 'export']


def test_a_training_without_a_best_checkpoint_is_an_error(tmp_path):
    with pytest.raises(RunError, match='best'):
        _ = RunFolder(tmp_path / 'run', {}).best_checkpoint


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
