import re

import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_checkpoint
from mmpretrain.registry import MODELS
from torch import nn

from mmpretrain_mldecoder.weights import load_from_published

NAMES = ['paddleclas://ResNet50_vd_ssld', 'timm://resnet50.a1_in1k', 'miil://tresnet_l_448']


@pytest.mark.parametrize('name', NAMES)
def test_scheme_is_ours(name):
    assert CheckpointLoader._get_checkpoint_loader(name) is load_from_published


def test_other_schemes_stay_the_host_s():
    for name in ('model.pth', 'https://host/model.pth', 'torchvision://resnet50', 'x/timm.pth'):
        assert CheckpointLoader._get_checkpoint_loader(name) is not load_from_published


@pytest.mark.parametrize('name', NAMES)
def test_load_checkpoint_says_how_to_go_on(name):
    with pytest.raises(NotImplementedError, match=re.escape(name)) as error:
        load_checkpoint(nn.Linear(1, 1), name)
    assert '--cfg-options model.backbone.init_cfg=None' in str(error.value)
    assert '--cfg-options model.backbone.init_cfg.checkpoint=FILE.pth' in str(error.value)


@pytest.mark.parametrize('name', NAMES)
def test_init_weights_says_how_to_go_on(name):
    backbone = dict(type='ResNetVd', depth=18, stem_channels=8, base_channels=8)
    model = MODELS.build(backbone | dict(init_cfg=dict(type='Pretrained', checkpoint=name)))
    with pytest.raises(NotImplementedError, match='not built in yet'):
        model.init_weights()


def test_both_ways_on_work(tmp_path):
    backbone = dict(type='ResNetVd', depth=18, stem_channels=8, base_channels=8)
    scratch = MODELS.build(backbone | dict(init_cfg=None))
    scratch.init_weights()
    path = tmp_path / 'converted.pth'
    torch.save(dict(state_dict=scratch.state_dict()), path)
    model = MODELS.build(backbone | dict(init_cfg=dict(type='Pretrained', checkpoint=str(path))))
    model.init_weights()
    for name, weight in scratch.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name
