import importlib.util
import json
import os
from functools import partial
from pathlib import Path

import cv2
import pytest
import torch

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
def demo():
    """The tool as a module, with a dataset of 8 + 5 small scenes in place of 3,600."""
    spec = importlib.util.spec_from_file_location('demo_tool', ROOT / 'tools' / 'demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make_demo_dataset = partial(
        module.make_demo_dataset, num_train=8, num_val=5, size=32, seed=1
    )
    return module


def refuse_tools(name, *args):
    raise AssertionError(f'{name} was run')


def test_whole_way_and_reuse(demo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path('tiny.py').write_text(CONFIG)
    argv = ['--data', 'data', '--work-dir', 'work', '--config', 'tiny.py']
    demo.main(argv)
    printed = capfd.readouterr().out
    assert 'training for 2 epochs' in printed
    rows = printed.split('==> done\n')[1].splitlines()
    assert len({row.index(row[16:].strip()) for row in rows}) == 1  # aligned
    summary = {row[:16].strip(): row[16:].strip() for row in rows}

    (result,) = tmp_path.glob('work/test/*/*.json')
    metrics = json.loads(result.read_text())
    assert summary['mAP, EMA weights'] == f'{metrics["coco/mAP"]:.2f} %'
    assert summary['mAP, raw weights'] == f'{metrics["coco/mAP_raw"]:.2f} %'
    assert Path(summary['checkpoint']).name.startswith('best_coco_mAP_epoch_')
    assert 'Epoch(train)' in Path(summary['log']).read_text()
    for name in ('curves', 'contact sheet'):
        assert cv2.imread(summary[name]) is not None
    lines = Path('work/predictions.jsonl').read_text().splitlines()
    assert [Path(json.loads(line)['path']).parent for line in lines] == [Path('data/val2017')] * 5

    monkeypatch.setattr(demo, 'run_tool', refuse_tools)
    demo.main(argv)
    again = capfd.readouterr().out
    assert again.count('is reused') == 3
    assert again.split('==> done\n')[1].splitlines() == rows


def test_interrupted_training_is_resumed(demo, tmp_path, monkeypatch, capsys):
    (tmp_path / 'tiny.py').write_text(CONFIG)
    args = demo.parse_args(
        ['--work-dir', str(tmp_path / 'work'), '--config', str(tmp_path / 'tiny.py')]
    )
    args.work_dir.mkdir()
    for name in ('epoch_1.pth', 'best_coco_mAP_epoch_1.pth'):
        torch.save({}, args.work_dir / name)
    calls = []

    def finish(name, *tool_args):
        calls.append((name, *tool_args))
        (args.work_dir / 'epoch_2.pth').touch()
        (args.work_dir / 'best_coco_mAP_epoch_2.pth').touch()

    monkeypatch.setattr(demo, 'run_tool', finish)
    config = demo.Config.fromfile(args.config)
    for _ in range(2):  # the second time there is nothing left to do
        best = demo.train(config, args, ['--cfg-options', 'a=b'])
        assert best == args.work_dir / 'best_coco_mAP_epoch_2.pth'
        assert [call[0] for call in calls] == ['train.py']
    assert '--resume' in calls[0]
    first, second = capsys.readouterr().out.split('==> ')[1:]
    assert f'going on from {args.work_dir / "epoch_1.pth"}' in first
    assert 'is reused' in second
    assert calls[0][-2:] == ('--cfg-options', 'a=b')


def test_failed_tool_ends_the_demo_and_says_how_to_go_on(demo):
    # Python itself ends with status 2 where there is no such script.
    with pytest.raises(SystemExit, match=r'gone\.py ended with status 2.*goes on'):
        demo.run_tool('gone.py')


def test_defaults_are_those_of_the_repository_from_any_folder(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = demo.parse_args([])
    assert Path(args.config).samefile(ROOT / 'configs/demo/mldecoder_r18vd_half_demo.py')
    assert os.path.abspath(args.data) == str(ROOT / 'data/demo')
    assert os.path.abspath(args.work_dir) == str(ROOT / 'work_dirs/demo')
