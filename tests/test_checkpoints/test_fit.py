import pytest
import torch
from mmengine.model import BaseModule
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from mmpretrain.registry import MODELS
from published_names import (
    paddleclas_fc,
    paddleclas_ml_decoder,
    paddleclas_resnet,
    random_arrays,
    save_paddle,
)
from torch import nn

from mmpretrain_mldecoder.checkpoints import PretrainedInit, convert
from mmpretrain_mldecoder.checkpoints.fit import compare, drop_surplus_outputs
from mmpretrain_mldecoder.errors import WeightsMismatchError

WIDTH = 4
NARROW = dict(stem_channels=WIDTH, base_channels=WIDTH)
VD = dict(type='ResNetVd', depth=18, **NARROW)


# ---- comparison


def test_every_kind_of_mismatch():
    module = nn.ModuleDict(dict(a=nn.Linear(2, 3), b=nn.BatchNorm1d(2)))
    state = {
        'a.weight': torch.zeros(3, 4),
        'a.more': torch.zeros(1),
        'b.weight': torch.zeros(2),
        'b.running_var': torch.zeros(2),
        'c.weight': torch.zeros(1),
    }
    mismatch = compare(module, state)
    assert mismatch.missing == ('a.bias', 'b.bias', 'b.running_mean')  # num_batches_tracked is not
    assert mismatch.misshaped == {'a.weight': ((3, 4), (3, 2))}
    assert mismatch.left_over == ('a.more',) and mismatch.foreign == ('c.weight',)
    assert str(mismatch) == (
        '3 missing (a.bias, b.bias, b.running_mean); 1 of another shape (a.weight: (3, 4) in the '
        'file, (3, 2) in the model); 1 left over (a.more)'
    )
    assert str(compare(module, module.state_dict())) == ''


# ---- surplus outputs of PaddleClas' group layer


def decoder_model(num_classes: int, num_groups: int) -> nn.Module:
    head = dict(
        type='MLDecoderHead',
        num_classes=num_classes,
        num_groups=num_groups,
        in_channels=WIDTH * 8,
        embed_dims=8,
        num_heads=2,
        feedforward_channels=16,
    )
    return MODELS.build(dict(type='ImageClassifier', backbone=VD, head=head))


def decoder_shapes(num_queries: int, group_size: int) -> dict:
    shapes = paddleclas_resnet(18, True, WIDTH)
    return shapes | paddleclas_ml_decoder(WIDTH * 8, num_queries, group_size, 8, 16)


def test_surplus_outputs_are_dropped():
    # 10 classes for 4 queries: 3 outputs each, the last two unused.
    state = convert(random_arrays(decoder_shapes(4, 3))).state_dict
    model = decoder_model(10, 4)
    with pytest.raises(RuntimeError, match=r'group_linear\.bias'):
        model.load_state_dict(state)
    name = 'head.decoder.group_linear.bias'
    model.load_state_dict(drop_surplus_outputs(model, state), strict=True)
    assert torch.equal(model.head.decoder.group_linear.bias, state[name][:10])
    assert len(state[name]) == 12


@pytest.mark.parametrize(
    'model', [decoder_model(8, 4), decoder_model(12, 4), decoder_model(13, 4), nn.Linear(2, 2)]
)
def test_nothing_to_drop(model):
    """2, 3 or 4 outputs for each query, and a model without an ML-Decoder."""
    state = convert(random_arrays(decoder_shapes(4, 3))).state_dict
    assert drop_surplus_outputs(model, state) is state
    state = convert(random_arrays(paddleclas_resnet(18, True, WIDTH))).state_dict
    assert drop_surplus_outputs(model, state) is state


# ---- init_cfg

SHAPES = paddleclas_resnet(18, True, WIDTH) | paddleclas_fc(WIDTH * 8, 3)
STATE = convert(random_arrays(SHAPES)).state_dict


@pytest.fixture
def checkpoint(tmp_path) -> str:
    return save_paddle(tmp_path, SHAPES)


def build(cfg, checkpoint, **more):
    pretrained = dict(type='Pretrained', checkpoint=checkpoint, **more)
    model = MODELS.build(cfg | dict(init_cfg=pretrained))
    model.init_weights()
    return model


def assert_holds(module, state_dict, prefix):
    for name, value in module.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(value, state_dict[f'{prefix}{name}']), name


def test_backbone(checkpoint):
    assert_holds(build(VD, checkpoint), STATE, 'backbone.')
    # The last stage is left out of a backbone that has only three.
    three = dict(num_stages=3, out_indices=(2,), strides=(1, 2, 2), dilations=(1, 1, 1))
    assert_holds(build(VD | three, checkpoint), STATE, 'backbone.')


def test_whole_model(checkpoint):
    cfg = dict(
        type='ImageClassifier',
        backbone=VD,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=WIDTH * 8),
        pretrained=checkpoint,
    )
    model = MODELS.build(cfg)
    model.init_weights()
    assert_holds(model, STATE, '')
    cfg['head']['num_classes'] = 5
    message = r'ImageClassifier.*fc\.bias: \(3,\) in the file, \(5,\)'
    with pytest.raises(WeightsMismatchError, match=message):
        MODELS.build(cfg).init_weights()


def test_prefix(checkpoint):
    head = dict(type='LinearClsHead', num_classes=3, in_channels=WIDTH * 8)
    for prefix in ('head', 'head.'):
        model = build(head, checkpoint, prefix=prefix)
        assert_holds(model, STATE, 'head.')
    message = r'nothing below neck\. \(prefix .*but backbone, head'
    with pytest.raises(WeightsMismatchError, match=message):
        build(head, checkpoint, prefix='neck')


@pytest.mark.parametrize(
    ('cfg', 'what'),
    [
        (VD | dict(depth=34), r'\d+ missing \(layer1\.2\.'),
        (VD | dict(depth=50), r'\d+ missing .*\d+ of another shape .*in the file, .*in the model'),
        (VD | dict(type='ResNet'), r'\d+ missing \(conv1\.weight, .*\d+ left over \(layer1\.0\.'),
        (VD | dict(type='ResNetV1d'), r'5 left over \(layer1\.0\.downsample\.0\.weight, .*\.\.\.'),
        (dict(type='ConvNeXt', arch='atto'), r'\d+ missing \('),
    ],
)
def test_other_networks_are_refused(checkpoint, cfg, what):
    message = rf'weights\.pdparams does not fit the {cfg["type"]}.*{what}.*Choose the type and dep'
    with pytest.raises(WeightsMismatchError, match=message):
        build(cfg, checkpoint)


class Net(BaseModule):
    """Two layers, to be filled by MMEngine's own initializer and by ours."""

    def __init__(self, **init_cfg):
        super().__init__(init_cfg)
        self.one, self.two = torch.nn.Linear(2, 2), torch.nn.Linear(2, 3)


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_all_other_checkpoints_are_mmengine_s(tmp_path, prefix):
    # One layer fits, one has another shape, one name is too many: MMEngine loads what fits.
    state = Net().state_dict() | {'two.weight': torch.ones(5, 5), 'more': torch.ones(1)}
    before = prefix or ''
    torch.save({f'{before}{name}': value for name, value in state.items()}, tmp_path / 'a.pth')
    arguments = dict(checkpoint=str(tmp_path / 'a.pth'), prefix=prefix)
    results = []
    for initializer in (PretrainedInit, MMEnginePretrainedInit):
        torch.manual_seed(0)
        net = Net()
        initializer(**arguments)(net)
        results.append(net.state_dict())
    assert torch.equal(results[0]['one.weight'], state['one.weight'])
    assert results[0].keys() == results[1].keys()
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
