import pytest
import torch
from mmpretrain.registry import MODELS
from published_names import paddleclas_fc, paddleclas_resnet, random_arrays, save_paddle

from mmpretrain_mldecoder.checkpoints import convert
from mmpretrain_mldecoder.errors import WeightsMismatchError

WIDTH = 4
NARROW = dict(stem_channels=WIDTH, base_channels=WIDTH)
VD = dict(type='ResNetVd', depth=18, **NARROW)

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


# ---- any file, behind any prefix

HOST = dict(type='ResNet', depth=18, **NARROW)
VIT = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=8, num_layers=2, num_heads=1, feedforward_channels=8),
    patch_size=8,
    img_size=32,
)


def weights_of(cfg) -> dict[str, torch.Tensor]:
    """Random weights of a network, none of them equal to those of another call."""
    state = MODELS.build(cfg).state_dict()
    return {n: torch.rand(v.shape) if v.is_floating_point() else v for n, v in state.items()}


def saved(tmp_path, state) -> str:
    torch.save(state, tmp_path / 'w.pth')
    return str(tmp_path / 'w.pth')


def behind(prefix: str, state) -> dict:
    return {f'{prefix}{name}': value for name, value in state.items()}


@pytest.mark.parametrize(
    'prefix',
    ['', 'module.', '_orig_mod.', 'module._orig_mod.', 'model.', 'net.', 'backbone.', 'a.b.c.'],
)
def test_prefixes_are_taken_off(tmp_path, prefix):
    state = weights_of(HOST)
    classifier = {f'{prefix}fc.weight': torch.ones(3, 8)} if prefix else {}
    path = saved(tmp_path, dict(state_dict=behind(prefix, state) | classifier, epoch=1))
    assert_holds(build(HOST, path), state, '')


@pytest.mark.parametrize(
    ('taken', 'other'),
    [
        ('encoder_q.', 'encoder_k.'),
        ('base_encoder.', 'momentum_encoder.'),
        ('teacher.', 'student.'),
        ('teacher_backbone.', 'student_backbone.'),
        ('ema_model.', 'online_model.'),
        ('ema_model.', 'model.'),
        ('online_network.', 'target_network.'),
        ('backbone.', 'target_net.module.0.'),
        ('backbone.', 'momentum_backbone.'),
    ],
)
def test_the_network_that_is_evaluated(tmp_path, taken, other):
    first, second = weights_of(HOST), weights_of(HOST)
    path = saved(tmp_path, behind(other, second) | behind(taken, first))
    assert_holds(build(HOST, path), first, '')
    assert_holds(build(HOST, f'{path}#{other}'), second, '')
    assert_holds(build(HOST, path, prefix=other), second, '')


def test_which_of_two_networks_is_asked(tmp_path):
    first, second = weights_of(HOST), weights_of(HOST)
    path = saved(tmp_path, behind('left.', first) | behind('right.', second))
    with pytest.raises(
        WeightsMismatchError, match=r'more than once, below left, right.*w\.pth#right'
    ):
        build(HOST, path)
    assert_holds(build(HOST, f'{path}#right'), second, '')
    # The same weights twice are no question.
    path = saved(tmp_path, behind('left.', first) | behind('right.', first))
    assert_holds(build(HOST, path), first, '')


@pytest.mark.parametrize(
    ('network', 'weights', 'what'),
    [
        (HOST, HOST | dict(depth=34), r'\d+ left over \(layer1\.2\.'),
        (HOST | dict(depth=34), HOST, r'\d+ missing \(layer1\.2\.'),
        (HOST, HOST | dict(base_channels=8), r'\d+ of another shape'),
        (HOST, VD, r'\d+ missing \(conv1\.weight, .*\d+ left over \(layer1\.0\.'),
        (HOST | dict(type='ResNetV1d'), VD, r'3 left over \(layer1\.0\.downsample\.0\.weight, .*'),
        (HOST, VIT, r'\d+ missing'),
        (VIT, HOST, r'\d+ missing'),
        (VIT, VIT | dict(arch=VIT['arch'] | dict(num_layers=3)), r'\d+ left over \(layers\.2\.'),
        (HOST, dict(HOST, type='SEResNet', depth=50), r'\d+ of another shape'),
    ],
)
def test_part_of_a_network_is_an_error(tmp_path, network, weights, what):
    state = weights_of(weights)
    path = saved(tmp_path, behind('model.', state))
    message = rf'w\.pth does not fit the {network["type"]}: .*{what}.*Choose the type.*strict=False'
    with pytest.raises(WeightsMismatchError, match=message):
        build(network, path)
    model = build(network, path, strict=False)  # the advice
    equal = [n for n, v in model.state_dict().items() if n in state and torch.equal(v, state[n])]
    kinds = {'ResNet' in cfg['type'] for cfg in (network, weights)}
    assert bool(equal) == (len(kinds) == 1)


def test_other_names_with_the_same_ends_are_an_error(tmp_path):
    # conv1.weight and bn1.* are in every block, and names of the network itself.
    state = {name.replace('layer', 'stage'): value for name, value in weights_of(HOST).items()}
    with pytest.raises(WeightsMismatchError, match=r'\d+ missing'):
        build(HOST, saved(tmp_path, behind('other_', state)))


def test_one_more_block_of_the_last_stage_is_an_error(tmp_path):
    state = weights_of(HOST)
    state |= {n.replace('layer4.1', 'layer4.2'): v for n, v in state.items() if 'layer4.1' in n}
    with pytest.raises(WeightsMismatchError, match=r'\d+ left over \(layer4\.2\.'):
        build(HOST, saved(tmp_path, state))


def test_one_missing_tensor_is_an_error(tmp_path):
    for name in ('conv1.weight', 'layer4.1.bn2.bias', 'layer4.1.bn2.running_var'):
        state = weights_of(HOST)
        del state[name]
        with pytest.raises(WeightsMismatchError, match=rf'1 missing \({name}\)'):
            build(HOST, saved(tmp_path, state))


@pytest.mark.parametrize(
    ('network', 'weights'),
    [
        (VIT | dict(img_size=64), VIT),  # position embeddings are resized
        (VIT | dict(final_norm=False), VIT),
        (VIT | dict(out_type='avg_featmap', final_norm=False), VIT),  # has a norm of its own
        (
            dict(type='ConvNeXt', arch='atto', out_indices=(0, 3)),
            dict(type='ConvNeXt', arch='atto'),
        ),
        (dict(type='MobileNetV3', out_indices=(5,)), dict(type='MobileNetV3')),
        (dict(type='EfficientNet', out_indices=(3,)), dict(type='EfficientNet')),
        (
            HOST | dict(num_stages=3, out_indices=(2,), strides=(1, 2, 2), dilations=(1, 1, 1)),
            HOST,
        ),
        (dict(type='RepVGG', arch='A0'), dict(type='RepVGG', arch='A0')),  # init_cfg of each block
    ],
)
def test_networks_that_take_more_or_less_of_a_file(tmp_path, network, weights):
    state = weights_of(weights)
    model = build(network, saved(tmp_path, state))
    for name, value in model.named_parameters():
        if name in state and state[name].shape == value.shape:
            assert torch.equal(value, state[name]), name


def test_nan_is_an_error(tmp_path):
    state = weights_of(HOST)
    state['unused.weight'] = torch.full((2, 2), float('nan'))
    build(HOST, saved(tmp_path, state))
    state['layer1.0.conv1.weight'][0] = float('nan')
    for strict in (True, False):
        with pytest.raises(ValueError, match=r'w\.pth has NaN .*layer1\.0\.conv1.*earlier check'):
            build(HOST, saved(tmp_path, state), strict=strict)


@pytest.mark.parametrize(
    ('model', 'options', 'hint'),
    [
        ('test_vit', dict(img_size=64), 'set img_size .*TIMMFeatureMap'),
        ('test_convnext', dict(features_only=True), 'features_only .*TIMMFeatureMap'),
        ('mixer_s32_224', dict(img_size=64), 'Choose the type, depth and img_size'),
    ],
)
def test_what_timm_changes_has_its_own_hint(tmp_path, model, options, hint):
    timm = pytest.importorskip('timm')
    state = timm.create_model(model).state_dict()
    for prefix in ('', 'backbone.timm_model.'):  # as timm:// and the checkpoints here have it
        path = saved(tmp_path, {f'{prefix}{name}': value for name, value in state.items()})
        with pytest.raises(WeightsMismatchError, match=hint):
            build(dict(type='TIMMBackbone', model_name=model, **options), path)


def test_timm_weights_fill_its_own_networks_too(tmp_path):
    timm = pytest.importorskip('timm')
    state = timm.create_model('resnet18').state_dict()
    cfg = dict(type='TIMMBackbone', model_name='resnet18')
    backbone = {n: v for n, v in state.items() if not n.startswith('fc.')}
    for weights in (state, backbone):  # one is converted, the other not
        model = build(cfg, saved(tmp_path, weights))
        assert_holds(model.timm_model, state, '')
