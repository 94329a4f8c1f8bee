import json
import runpy
import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

TOOL = Path(__file__).parents[2] / 'tools' / 'infer.py'
CONFIG = """
default_scope = 'mmpretrain'
data_preprocessor = dict(mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='MultiLabelLinearClsHead', num_classes=4, in_channels=64),
)
test_dataloader = dict(
    dataset=dict(
        type='CustomDataset',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(32, 32)),
            dict(type='PackInputs'),
        ],
    )
)
"""


@pytest.fixture
def model_files(tmp_path) -> list[str]:
    """A config and a checkpoint of a tiny model with four classes."""
    config, checkpoint = tmp_path / 'tiny.py', tmp_path / 'tiny.pth'
    config.write_text(CONFIG)
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    meta = dict(dataset_meta=dict(classes=('ant', 'bee', 'cat', 'dog')))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    return [str(config), str(checkpoint)]


@pytest.fixture
def run_tool(monkeypatch, capsys):
    """Run the tool as a script in this process and return what it printed."""

    def run(*args) -> str:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out

    return run


def test_table_predictions_and_sheet(run_tool, fake_coco, model_files, tmp_path):
    photo, folder = fake_coco / 'train2017' / '000000000005.jpg', fake_coco / 'val2017'
    out = tmp_path / 'out'
    printed = run_tool(
        *(photo, folder, *model_files, '--thr', '0', '--topk', '2', '--batch-size', '3'),
        *('--device', 'cpu', '--out-dir', out),
    ).splitlines()
    lines = (out / 'predictions.jsonl').read_text().splitlines()
    predictions = [json.loads(line) for line in lines]
    assert [p['path'] for p in predictions] == [str(photo), *map(str, sorted(folder.iterdir()))]
    for prediction, row in zip(predictions, printed[:8], strict=True):
        pairs = zip(prediction['labels'], prediction['scores'], strict=True)
        words = [word for label, score in pairs for word in (label, f'{score:.3f}')]
        assert len(words) == 4
        assert row.split() == [prediction['path'], *words]
    # aligned: all class names have three letters, so every column of the table starts alike
    assert len({tuple(i for i, c in enumerate(row) if c == '.')[-2:] for row in printed[:8]}) == 1
    assert printed[8:] == [
        f'predictions: {out / "predictions.jsonl"}',
        f'contact sheet: {out / "contact_sheet.png"}',
    ]
    assert cv2.imread(str(out / 'contact_sheet.png')) is not None


def test_threshold_applies(run_tool, fake_coco, model_files):
    photo = fake_coco / 'val2017' / '000000000001.jpg'
    printed = run_tool(photo, *model_files, '--thr', '1', '--backend', 'torch')
    assert printed.split() == [str(photo), '-']


def test_unreadable_image_is_named_and_nothing_is_written(run_tool, model_files, tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'not a picture')
    with pytest.raises(ValueError, match=r'cannot read image .*broken\.jpg'):
        run_tool(tmp_path / 'broken.jpg', *model_files, '--out-dir', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
