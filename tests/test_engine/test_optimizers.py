import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from mmpretrain_mldecoder.engine.optimizers import (
    SkippingAmpOptimWrapper,
    SkippingOptimWrapper,
    skipping,
)


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
    wrapper = build_optim_wrapper(model, _cfg(clip_grad=dict(max_norm=1.0)))
    decayed, spared = wrapper.optimizer.param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert [names[id(p)] for p in decayed['params']] == ['0.weight', '2.weight']
    found = {names[id(p)] for p in spared['params']}
    assert found == {'scale', '1.weight', '1.bias', '2.bias', '3.bias'}
    assert (decayed['weight_decay'], spared['weight_decay']) == (0.3, 0.0)
    assert decayed['lr'] == spared['lr'] == 1e-3
    assert wrapper.clip_grad_kwargs == dict(max_norm=1.0)
    wrapper = build_optim_wrapper(nn.Linear(3, 2, bias=False), _cfg())
    assert [len(group['params']) for group in wrapper.optimizer.param_groups] == [1, 0]


def _settings(model: nn.Module, paramwise_cfg: dict, **optimizer) -> dict[str, tuple]:
    """Rate and decay of each parameter, by name."""
    cfg = _cfg(paramwise_cfg=paramwise_cfg)
    cfg['optimizer'] |= optimizer
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    of = {id(p): (g['lr'], g['weight_decay']) for g in groups for p in g['params']}
    return {name: of[id(p)] for name, p in model.named_parameters() if p.requires_grad}


def test_rates_and_decays_by_name():
    """Those of MMEngine's constructor, but for the decay of 1-D parameters."""
    model = nn.ModuleDict(dict(backbone=_model(), head=nn.Linear(2, 3)))
    model['depthwise'] = nn.Conv2d(4, 4, 3, groups=4)
    keys = {'backbone': dict(lr_mult=0.1), 'backbone.0': dict(lr_mult=0.5, decay_mult=2)}
    paramwise = dict(custom_keys=keys, bias_lr_mult=3, dwconv_decay_mult=0.5)
    found = _settings(model, paramwise)
    default = dict(paramwise, bypass_duplicate=True)
    cfg = dict(_cfg(paramwise_cfg=default), constructor='DefaultOptimWrapperConstructor')
    oracle = {
        id(p): (group['lr'], group['weight_decay'])
        for group in build_optim_wrapper(model, cfg).optimizer.param_groups
        for p in group['params']
    }
    for name, param in model.named_parameters():
        if param.requires_grad:
            rate, decay = oracle[id(param)]
            assert found[name] == (rate, decay if param.ndim > 1 else 0), name
    assert found['backbone.2.weight'] == (1e-4, 0.3)
    assert found['head.bias'] == (3e-3, 0)


def test_a_group_for_each_setting():
    """Not one for each parameter: a fused step takes a group at once."""
    model = nn.ModuleDict(dict(backbone=_model(), head=_model()))
    keys = dict(backbone=dict(lr_mult=0.1, betas=(0.8, 0.9)))
    optimizer = build_optim_wrapper(model, _cfg(paramwise_cfg=dict(custom_keys=keys))).optimizer
    assert len(optimizer.param_groups) == 4
    assert [group['betas'] for group in optimizer.param_groups].count((0.8, 0.9)) == 2


@pytest.mark.parametrize('key', ['norm_decay_mult', 'bias_decay_mult', 'flat_decay_mult'])
def test_decay_of_1d_parameters_is_refused(key):
    plain = _settings(_model(), {})
    assert _settings(_model(), {key: 0}) == plain
    default = 'DefaultOptimWrapperConstructor'
    with pytest.raises(ValueError, match=f"{key} = 0.5.*remove it, or set constructor='{default}'"):
        _settings(_model(), {key: 0.5})
    cfg = _cfg(paramwise_cfg={key: 0.5, 'bypass_duplicate': True}) | dict(constructor=default)
    decays = [g['weight_decay'] for g in build_optim_wrapper(_model(), cfg).optimizer.param_groups]
    assert 0.15 in decays


@pytest.mark.parametrize(
    ('wrong', 'fix', 'followed'),
    [
        (dict(custom_key={}), r'custom_key\b.* takes custom_keys', dict(custom_keys={})),
        (dict(dcn_offset_lr_mult=0.1), r'dcn_offset_lr_mult\b.*remove it', {}),
        (
            dict(custom_keys={'0': dict(lr_mul=0.1)}),
            r'lr_mul\b.* set lr_mult',
            dict(custom_keys={'0': dict(lr_mult=0.1)}),
        ),
    ],
)
def test_what_would_do_nothing_is_refused(wrong, fix, followed):
    with pytest.raises(ValueError, match=fix):
        _settings(_model(), wrong)
    _settings(_model(), followed)


def test_multiple_of_nothing():
    cfg = _cfg(paramwise_cfg=dict(custom_keys={'0': dict(decay_mult=2)}))
    del cfg['optimizer']['weight_decay']
    with pytest.raises(ValueError, match=r'the weight decay: set optimizer\.weight_decay'):
        build_optim_wrapper(_model(), cfg)
    cfg['optimizer']['weight_decay'] = 0.1
    build_optim_wrapper(_model(), cfg)


def test_nothing_to_train():
    with pytest.raises(ValueError, match='Linear has no trainable parameter'):
        build_optim_wrapper(nn.Linear(2, 2).requires_grad_(False), _cfg())


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.linear = nn.BatchNorm1d(3), nn.Linear(3, 1)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.linear(self.norm(inputs)).square().sum())


def _train(batches: list, wrapper_type=OptimWrapper, **options) -> dict[str, torch.Tensor]:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    wrapper = wrapper_type(optimizer=optimizer, **options)
    wrapper.initialize_count_status(model, 0, len(batches))
    for batch in batches:
        model.train_step(dict(inputs=batch), wrapper)
    return model.state_dict()


def _batches(num: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, 3, generator=generator) for _ in range(num)]


BAD = torch.full((4, 3), float('nan'))


def test_as_if_the_batch_were_not_there():
    good = _batches(4)
    skipped = _train([*good[:2], BAD, *good[2:]], SkippingOptimWrapper, max_skips=1)
    for name, value in _train(good).items():  # batch norm's statistics are among them
        assert torch.equal(skipped[name], value), name


def test_accumulated_gradients_are_dropped_with_it():
    """With a step every two batches: both batches of the bad pair are skipped."""
    a, b, c, d = _batches(4)
    skipped = _train([a, b, c, BAD, d, a], SkippingOptimWrapper, max_skips=1, accumulative_counts=2)
    without = _train([a, b, d, a], accumulative_counts=2)
    for name in ('linear.weight', 'linear.bias', 'norm.weight', 'norm.bias'):
        assert torch.equal(skipped[name], without[name]), name
    # c was in order, so the batch norm has counted it
    assert (skipped['norm.num_batches_tracked'], without['norm.num_batches_tracked']) == (5, 4)


@pytest.mark.parametrize('value', [0, True, '3'])
def test_wrong_limit(value):
    optimizer = torch.optim.SGD(Model().parameters(), lr=0.1)
    with pytest.raises(ValueError, match=rf'max_skips must be .*, but got {value!r}; remove it'):
        SkippingOptimWrapper(optimizer=optimizer, max_skips=value)


def test_class_that_knows_the_key():
    assert skipping(dict(max_skips=1))['type'] is SkippingOptimWrapper
    assert skipping(dict(type=OptimWrapper, max_skips=1))['type'] is SkippingOptimWrapper
    amp = skipping(dict(type='mmengine.AmpOptimWrapper', max_skips=1, loss_scale='dynamic'))
    assert amp == dict(type=SkippingAmpOptimWrapper, max_skips=1, loss_scale='dynamic')
    with pytest.raises(ValueError, match=r'max_skips .* not ApexOptimWrapper: remove it'):
        skipping(dict(type='ApexOptimWrapper', max_skips=1))
