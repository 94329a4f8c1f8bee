import re

import pytest
from mmengine.config import Config

from mmpretrain_mldecoder.engine.checks.config_error import (
    explained,
    merge_options,
    read_config,
)
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.errors import ConfigError


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ({'param_schedulers.pct_start': 0.3}, "no key 'param_schedulers'; near: param_scheduler"),
        ({'model.head.num_classes': 'many'}, 'model.head.num_classes must be a number, as 4 is'),
        ({'custom_hooks.1.decay': 'slow'}, 'custom_hooks.1.decay must be a number, as 0.7 is'),
        ({'model': 5}, 'model is a dict.*model.KEY=VALUE: type, data_preprocessor, backbone, head'),
    ],
)
def test_option_that_makes_no_sense(folder, option, message):
    ((key, value),) = option.items()
    with pytest.raises(ConfigError, match=message):
        merge_options(Config.fromfile(folder / 'tiny.py'), {key: value})


def test_option_that_makes_sense(folder):
    for key, value in {
        'optim_wrapper.optimizer.lr': None,
        'train_dataloader.batch_size': 'auto',
        'train_cfg.dynamic_intervals': [(1, 1)],
        'val_evaluator': None,
        'compile': True,  # known, but absent
    }.items():
        merge_options(Config.fromfile(folder / 'tiny.py'), {key: value})


PURE = """
from mmengine.dataset import default_collate
from mmpretrain.models import ImageClassifier
from torch.optim import AdamW
from mmpretrain_mldecoder.models.heads import MLDecoderHead
from mmpretrain_mldecoder.engine import NoDecay1DConstructor
from collections import Counter

model = dict(type=ImageClassifier, head=dict(type=MLDecoderHead, num_classes=3))
train_dataloader = dict(collate_fn=dict(type=default_collate), batch_size=8)
optim_wrapper = dict(optimizer=dict(type=AdamW, betas=(0, 0.9)), constructor=NoDecay1DConstructor)
mine = [dict(type=Counter)]
default_scope = 'mmpretrain'
"""


def test_classes_in_a_config_are_read_as_their_names(tmp_path):
    """What a pure Python config says is what its twin of text says."""
    (tmp_path / 'pure.py').write_text(PURE)
    kept = [line for line in PURE.splitlines() if 'import' not in line]
    text = re.sub(r'\b(type|constructor)=(\w+)', r"\1='\2'", '\n'.join(kept))
    (tmp_path / 'text.py').write_text(text.replace("'Counter'", "'collections.Counter'"))
    pure, twin = (read_config(tmp_path / f'{name}.py') for name in ('pure', 'text'))
    assert pure.to_dict() == twin.to_dict()
    assert read_config(Config.fromfile(tmp_path / 'pure.py')).to_dict() == twin.to_dict()
    assert read_config(twin) is twin


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match=r'^other$'), explained({}, 'model'):
        raise RuntimeError('other')
    with pytest.raises(KeyError, match=r'^.other.$'), explained({}, 'model'):
        raise KeyError('other')


def test_wrong_runner(folder):
    cfg = Config.fromfile(folder / 'tiny.py')
    cfg.runner_type = 'PortableRuner'
    with pytest.raises(ConfigError, match=r"runner_type = 'PortableRuner'.*near: PortableRunner"):
        launch.build_runner(cfg)
