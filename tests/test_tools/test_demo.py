import importlib.util
import json
import os
from functools import partial
from pathlib import Path

import cv2
import pytest
from tiny_run import load_main

from mmpretrain_mldecoder.analysis import demo

ROOT = Path(__file__).parents[2]
CONFIG = f"""
_base_ = '{ROOT}/configs/demo/mldecoder_r18vd_half_demo.py'
model = dict(
    backbone=dict(stem_channels=8, base_channels=8),
    head=dict(in_channels=64, embed_dims=16, num_heads=2, feedforward_channels=16),
)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
param_scheduler = dict(total_steps=2)
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture
def tool(monkeypatch):
    """The tool as a module, with a dataset of 8 + 5 small scenes in place of 3,600."""
    small = partial(demo.make_demo_dataset, num_train=8, num_val=5, size=32, seed=1)
    monkeypatch.setattr(demo, 'make_demo_dataset', small)
    spec = importlib.util.spec_from_file_location('demo_tool', ROOT / 'tools' / 'demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_steps_and_reuse(tool, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path('tiny.py').write_text(CONFIG)
    argv = ['--data', 'data', '--work-dir', 'work', '--config', 'tiny.py']
    mains = {f'{name}.py': load_main(name) for name in ('train', 'test')}
    monkeypatch.setattr(tool, 'run_tool', lambda name, *args: mains[name]([*map(str, args)]))
    tool.main(argv)
    printed = capfd.readouterr().out
    assert 'training for 2 epochs' in printed
    rows = printed.split('==> done\n')[1].splitlines()
    assert len({row.index(row[16:].strip()) for row in rows}) == 1  # aligned
    summary = {row[:16].strip(): row[16:].strip() for row in rows}

    (result,) = tmp_path.glob('work/test/test_*.json')
    metrics = json.loads(result.read_text())['metrics']
    assert summary['mAP, EMA weights'] == f'{metrics["coco/mAP"]:.2f} %'
    assert summary['mAP, raw weights'] == f'{metrics["coco/mAP_raw"]:.2f} %'
    assert Path(summary['checkpoint']).name.startswith('best_coco_mAP_epoch_')
    assert 'Epoch(train)' in Path(summary['log']).read_text()
    for name in ('curves', 'contact sheet'):
        assert cv2.imread(summary[name]) is not None
    lines = Path('work/predictions.jsonl').read_text().splitlines()
    assert [Path(json.loads(line)['path']).parent for line in lines] == [Path('data/val2017')] * 5

    monkeypatch.setattr(tool, 'run_tool', None)  # none is run
    tool.main(argv)
    again = capfd.readouterr().out
    assert again.count('is reused') == 3
    assert again.split('==> done\n')[1].splitlines() == rows

    # An interrupted training is resumed; one that left no best checkpoint is named.
    for file in ('work/epoch_2.pth', summary['checkpoint']):
        Path(file).unlink()
    calls = []
    monkeypatch.setattr(tool, 'run_tool', lambda *args: calls.append([*map(str, args)]))
    with pytest.raises(SystemExit, match='left no best checkpoint: remove work and run again'):
        tool.main(argv)
    assert 'continuing from work/epoch_1.pth' in capfd.readouterr().out
    ((name, *arguments),) = calls
    assert name == 'train.py' and '--resume' in arguments
    assert 'train_dataloader.dataset.data_root=data' in arguments


def test_failed_tool_ends_the_demo_and_names_the_fix(tool, tmp_path, capfd):
    (tmp_path / 'good.py').write_text('import sys\nprint(sys.argv[1:])')
    tool.run_tool(tmp_path / 'good.py', '--resume', 3)
    assert capfd.readouterr().out.endswith("good.py --resume 3\n['--resume', '3']\n")
    # Python itself ends with status 2 where there is no such script.
    with pytest.raises(SystemExit, match=r'gone\.py ended with status 2.*same command'):
        tool.run_tool('gone.py')


def test_defaults_are_those_of_the_repository_from_any_folder(tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = []
    monkeypatch.setattr(tool, 'run_demo', lambda *args: given.extend(args[:3]) or {})
    tool.main([])
    expected = ('configs/demo/mldecoder_r18vd_half_demo.py', 'data/demo', 'work_dirs/demo')
    assert [os.path.abspath(path) for path in given] == [str(ROOT / path) for path in expected]
