from pathlib import Path

import pytest
from mmengine.config import Config

from mmpretrain_mldecoder.apis.export.model_input import UNKNOWN, resize_rule

ROOT = Path(__file__).parents[3]
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
OPENCV = dict(filter='bilinear', antialias=False)
TRANSFORMS = [
    dict(type='SquareResize', scale=224),
    dict(type='SquareResize', scale=8, antialias=False),
    dict(type='ShortSideResize', scale=256),
    dict(type='CenterCrop', crop_size=224),
    dict(type='ResizeEdge', scale=9, backend='pillow', interpolation='box'),
    dict(type='Resize', scale=(40, 30)),  # width, height
]
STEPS = [
    dict(op='squash', width=224, height=224, filter='bilinear', antialias=True),
    dict(op='squash', width=8, height=8, **OPENCV),
    dict(op='short_side', size=256, rounding='nearest', even=True, **OPENCV),
    dict(op='center_crop', width=224, height=224),
    dict(op='short_side', size=9, rounding='down', even=False, filter='box', antialias=True),
    dict(op='squash', width=40, height=30, **OPENCV),
]


def test_steps(recwarn):
    assert resize_rule([LOAD, PACK]) == []
    assert resize_rule([LOAD, *TRANSFORMS, PACK]) == STEPS
    assert not recwarn.list


@pytest.mark.parametrize(
    'transform',
    [
        dict(type='Normalize', mean=[0, 0, 0], std=[1, 1, 1]),
        dict(type='Resize', scale=(40, 30), keep_ratio=True),
        dict(type='Resize', scale_factor=0.5),
        dict(type='Resize', scale=8, interpolation='area'),
        dict(type='ResizeEdge', scale=8, edge='long'),
        dict(type='CenterCrop', crop_size=8, auto_pad=True),
        dict(type='LoadImageFromFile', color_type='grayscale'),
        dict(type='LoadScaledImage', min_side=224),
    ],
)
def test_what_the_steps_cannot_say_is_not_guessed(transform):
    with pytest.warns(UserWarning, match=f'{transform["type"]}.* cannot be written down'):
        assert resize_rule([LOAD, transform, PACK]) == UNKNOWN


def test_every_row_has_a_rule(recwarn):
    rows = sorted((ROOT / 'configs').glob('[!_]*/*.py'))
    assert len(rows) > 20
    for row in rows:
        rule = resize_rule(Config.fromfile(row).test_dataloader.dataset.pipeline)
        assert isinstance(rule, list), row
        assert rule or row.parent.name == 'demo', row
