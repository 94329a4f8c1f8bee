import pickle

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS
from mmpretrain.registry import MODELS
from published_names import (
    paddleclas_fc,
    paddleclas_ml_decoder,
    paddleclas_resnet,
    random_arrays,
)

from mmpretrain_mldecoder.checkpoints import PretrainedInit, convert

WIDTH = 4
NARROW = dict(stem_channels=WIDTH, base_channels=WIDTH)


@pytest.fixture
def save(tmp_path):
    def save(shapes) -> str:
        path = tmp_path / 'weights.pdparams'
        path.write_bytes(pickle.dumps(random_arrays(shapes), protocol=4))
        return str(path)

    return save


def _vd(depth=18):
    return paddleclas_resnet(depth, True, WIDTH) | paddleclas_fc(WIDTH * 8, 3)


def _init(cfg, checkpoint, **more):
    pretrained = dict(type='Pretrained', checkpoint=checkpoint, **more)
    model = MODELS.build(cfg | dict(init_cfg=pretrained))
    model.init_weights()
    return model


def _assert_holds(module, state_dict, prefix):
    for name, value in module.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(value, state_dict[f'{prefix}{name}']), name


def test_takes_the_place_of_mmengine_s():
    assert WEIGHT_INITIALIZERS.get('Pretrained') is PretrainedInit


def test_backbone(save):
    model = _init(dict(type='ResNetVd', depth=18, **NARROW), save(_vd()))
    _assert_holds(model, convert(random_arrays(_vd())).state_dict, 'backbone.')


def test_whole_model(save):
    checkpoint = save(_vd())
    cfg = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNetVd', depth=18, **NARROW),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=WIDTH * 8),
    )
    model = MODELS.build(cfg | dict(pretrained=checkpoint))
    model.init_weights()
    _assert_holds(model, convert(random_arrays(_vd())).state_dict, '')
    cfg['head']['num_classes'] = 5
    with pytest.raises(ValueError, match=r'ImageClassifier .*fc\.bias: \(3,\) in the file, \(5,\)'):
        MODELS.build(cfg | dict(pretrained=checkpoint)).init_weights()


def test_surplus_outputs_of_a_whole_model_are_cut(save):
    # 4 queries of 3 outputs each serve 10 classes.
    shapes = paddleclas_resnet(18, True, WIDTH) | paddleclas_ml_decoder(WIDTH * 8, 4, 3, 8, 16)
    head = dict(
        type='MLDecoderHead',
        num_classes=10,
        num_groups=4,
        in_channels=WIDTH * 8,
        embed_dims=8,
        num_heads=2,
        feedforward_channels=16,
    )
    backbone = dict(type='ResNetVd', depth=18, **NARROW)
    model = MODELS.build(
        dict(type='ImageClassifier', backbone=backbone, head=head, pretrained=save(shapes))
    )
    model.init_weights()
    bias = torch.from_numpy(random_arrays(shapes)['fc.group_conv.bias'])
    assert torch.equal(model.head.decoder.group_linear.bias, bias[:10])


def test_prefix(save):
    checkpoint = save(_vd())
    head = dict(type='LinearClsHead', num_classes=3, in_channels=WIDTH * 8)
    for prefix in ('head', 'head.'):
        model = _init(head, checkpoint, prefix=prefix)
        _assert_holds(model, convert(random_arrays(_vd())).state_dict, 'head.')
    with pytest.raises(ValueError, match=r'nothing below neck\. \(prefix .*but backbone, head'):
        _init(head, checkpoint, prefix='neck')


def test_fewer_stages_leave_the_last_one_out(save):
    cfg = dict(type='ResNetVd', depth=18, num_stages=3, out_indices=(2,), **NARROW)
    cfg |= dict(strides=(1, 2, 2), dilations=(1, 1, 1))
    model = _init(cfg, save(_vd()))
    _assert_holds(model, convert(random_arrays(_vd())).state_dict, 'backbone.')


@pytest.mark.parametrize(
    ('network', 'depth', 'what'),
    [
        ('ResNetVd', 34, r'\d+ missing \(layer1\.2\.'),
        ('ResNetVd', 50, r'\d+ missing .*\d+ of another shape .*in the file, .*in the model'),
        ('ResNet', 18, r'\d+ missing \(conv1\.weight, .*\d+ left over \(layer1\.0\.downsample'),
        ('ResNetV1d', 18, r'5 left over \(layer1\.0\.downsample\.0\.weight, .*\.\.\.'),
        ('VGG', 11, r'\d+ missing \(features\.'),
    ],
)
def test_other_networks_are_refused(save, network, depth, what):
    cfg = dict(type=network, depth=depth) | ({} if network == 'VGG' else NARROW)
    message = rf'weights\.pdparams does not fit the {network} .*{what}.*init_cfg=None'
    with pytest.raises(ValueError, match=message):
        _init(cfg, save(_vd()))


def test_deeper_weights_are_refused(save):
    deeper = paddleclas_resnet(101, True, WIDTH)
    message = r'does not fit the ResNetVd .*: \d+ left over \(layer3\.6\.conv1\.weight, .*Choose'
    with pytest.raises(ValueError, match=message):
        _init(dict(type='ResNetVd', depth=50, **NARROW), save(deeper))


def test_other_weights_than_of_a_backbone(save):
    with pytest.raises(ValueError, match=r'does not fit the Conv'):
        _init(dict(type='ConvNeXt', arch='atto'), save(_vd()))


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
