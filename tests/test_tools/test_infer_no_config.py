import json
import runpy
from pathlib import Path

import pytest
import torch
from fake_coco import write_coco
from mmpretrain.registry import MODELS

TOOL = Path(__file__).parents[2] / 'tools' / 'infer.py'
CONFIG = """
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True),
    backbone=dict(type='ResNet', depth=18, stem_channels=4, base_channels=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='MultiLabelLinearClsHead', num_classes=2, in_channels=32))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='SquareResize', scale=32), dict(type='PackInputs')]))
"""


@pytest.fixture
def checkpoint(tmp_path):
    def write(text=CONFIG) -> str:
        variables = {}
        exec(CONFIG, variables)  # our own text, as a config file is
        model = MODELS.build(variables['model'])
        meta = dict(cfg=text, dataset_meta=dict(classes=['ant', 'bee']))
        torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'alone.pth')
        return str(tmp_path / 'alone.pth')

    return write


@pytest.fixture
def photos(tmp_path):
    write_coco(tmp_path / 'coco', dict(val=3))
    return str(tmp_path / 'coco' / 'val2017')


def infer(*args) -> None:
    runpy.run_path(str(TOOL))['main']([*args, '--device', 'cpu', '--backend', 'torch'])


def test_checkpoint_alone(checkpoint, photos, tmp_path, capsys):
    out = tmp_path / 'out'
    infer(photos, '--thr', '0', checkpoint(), '--no-config', '--out-dir', str(out))
    lines = [json.loads(line) for line in (out / 'predictions.jsonl').read_text().splitlines()]
    assert [sorted(line['labels']) for line in lines] == [['ant', 'bee']] * 3
    assert lines[0]['model']['config'] is None
    assert lines[0]['model']['checkpoint'] == 'alone.pth'
    assert 'ant' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('args', 'text', 'line'),
    [
        (['--no-config'], CONFIG + "open('marker', 'w')", 'not NAME = VALUE; name a config file'),
        (['--no-config', '--cfg-options', 'a=1'], CONFIG, '--cfg-options changes a CONFIG'),
        ([], CONFIG, 'are required: INPUT CONFIG CHECKPOINT'),
    ],
)
def test_what_is_wrong_is_one_line(
    checkpoint, photos, args, text, line, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        infer(photos, checkpoint(text), *args)
    assert stop.value.code == 2
    assert line in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / 'marker').exists()


def test_input_and_checkpoint_are_both_required(checkpoint, capsys):
    with pytest.raises(SystemExit):
        infer(checkpoint(), '--no-config')
    assert 'are required: INPUT CHECKPOINT' in capsys.readouterr().err.splitlines()[-1]
