import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmpretrain_mldecoder.engine import NoDecay1DConstructor


def _model():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2), nn.Linear(4, 2))
    model.register_parameter('scale', nn.Parameter(torch.ones(())))
    model[3].weight = model[2].weight  # shared
    model[0].bias.requires_grad_(False)
    return model


def _cfg(**more):
    optimizer = dict(type='AdamW', lr=1e-3, weight_decay=0.3)
    return dict(optimizer=optimizer, constructor='mmpretrain.NoDecay1DConstructor', **more)


def test_two_groups_by_dimension():
    model = _model()
    wrapper = build_optim_wrapper(model, _cfg())
    decayed, spared = wrapper.optimizer.param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert [names[id(p)] for p in decayed['params']] == ['0.weight', '2.weight']
    assert {names[id(p)] for p in spared['params']} == {
        'scale',
        '1.weight',
        '1.bias',
        '2.bias',
        '3.bias',
    }
    assert (decayed['weight_decay'], spared['weight_decay']) == (0.3, 0.0)
    assert decayed['lr'] == spared['lr'] == 1e-3


def test_only_weights_shrink_without_gradient():
    model = _model()
    wrapper = build_optim_wrapper(model, _cfg())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    wrapper.step()
    for name, p in model.named_parameters():
        # AdamW with zero gradient: p - lr * weight_decay * p
        factor = 1 - 1e-3 * 0.3 if p.ndim >= 2 else 1.0
        torch.testing.assert_close(p.detach(), before[name] * factor)


def test_keeps_two_groups_when_one_is_empty():
    wrapper = build_optim_wrapper(nn.Linear(3, 2, bias=False), _cfg())
    assert [len(group['params']) for group in wrapper.optimizer.param_groups] == [1, 0]


def test_wrapper_options_reach_the_wrapper():
    wrapper = build_optim_wrapper(_model(), _cfg(clip_grad=dict(max_norm=1.0)))
    assert wrapper.clip_grad_kwargs == dict(max_norm=1.0)


def test_refuses_paramwise_cfg():
    with pytest.raises(ValueError, match=r"takes no paramwise_cfg.*'norm_decay_mult': 0"):
        NoDecay1DConstructor(_cfg(), paramwise_cfg=dict(norm_decay_mult=0))


def test_nothing_to_train():
    with pytest.raises(ValueError, match='Linear has no trainable parameter'):
        build_optim_wrapper(nn.Linear(2, 2).requires_grad_(False), _cfg())
