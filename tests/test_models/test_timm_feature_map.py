"""Oracle: timm's own maps, of ``forward_intermediates`` or by its features in their layout."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import load_state_dict
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmpretrain_mldecoder.models.backbones.timm_feature_map import TIMMFeatureMap

timm = pytest.importorskip('timm')

# One of each kind: model, its arguments, channels, stride.
CHANNELS_FIRST = [
    ('convnext_atto', {}, 320, 32),
    ('tf_efficientnet_lite0', {}, 1280, 32),
    ('hgnetv2_b0', {}, 2048, 32),
    ('lcnet_050', {}, 1280, 32),
    ('resnet18', {}, 512, 32),
]
CHANNELS_LAST = [
    ('swin_tiny_patch4_window7_224', dict(img_size=64, depths=(1, 1, 1, 1)), 768, 32),
    ('mambaout_femto', dict(depths=(1, 1, 1, 1)), 1152, 32),
]
SMALL = dict(depth=2, embed_dim=96, num_heads=3, img_size=64)
TOKENS = [
    ('vit_tiny_patch16_224', SMALL, 96, 16),
    ('vit_base_patch16_clip_224', SMALL, 96, 16),
    ('vit_base_patch16_siglip_224', SMALL, 96, 16),
    ('vit_small_patch16_dinov3', SMALL, 96, 16),
    ('vit_small_patch14_reg4_dinov2', SMALL | dict(img_size=56), 96, 14),
]
KINDS = [*CHANNELS_FIRST, *CHANNELS_LAST, *TOKENS]


def build(name: str, options: dict, **more: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS.build(dict(type='TIMMFeatureMap', model_name=name, **options, **more))


def images(options: dict) -> torch.Tensor:
    side = options.get('img_size', 64)
    return torch.rand(2, 3, side, side)


def ids(kind: tuple) -> str:
    return kind[0]


@pytest.mark.parametrize('kind', KINDS, ids=ids)
def test_map(kind):
    name, options, channels, stride = kind
    backbone = build(name, options)
    backbone.eval()
    batch = images(options)
    with torch.no_grad():
        (output,) = backbone(batch)
        theirs = backbone.timm_model(batch)
    side = batch.shape[2] // stride
    assert output.shape == (2, channels, side, side)
    if kind in CHANNELS_FIRST:
        assert torch.equal(output, theirs)
    elif kind in CHANNELS_LAST:
        for row, column in ((0, 0), (0, 1), (1, 0)):
            assert torch.equal(output[:, :, row, column], theirs[:, row, column])
    else:
        with torch.no_grad():
            maps = backbone.timm_model.forward_intermediates(
                batch, indices=1, norm=True, intermediates_only=True, output_fmt='NCHW'
            )
        torch.testing.assert_close(output, maps[-1])


@pytest.mark.parametrize('kind', KINDS, ids=ids)
def test_two_training_steps_with_ml_decoder(kind):
    name, options, channels, _ = kind
    small = dict(num_groups=3, embed_dims=32, num_heads=2, feedforward_channels=32)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='TIMMFeatureMap', model_name=name, **options),
            head=dict(type='MLDecoderHead', num_classes=5, in_channels=channels, **small),
        )
    )
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = {name: value.clone() for name, value in model.backbone.named_parameters()}
    data = dict(
        inputs=images(options), data_samples=[DataSample().set_gt_label([i]) for i in range(2)]
    )
    for _ in range(2):
        losses = model.train_step(data, optimizer)
        assert torch.isfinite(losses['loss'])
    first, value = next(iter(model.backbone.named_parameters()))
    assert not torch.equal(value, before[first])
    model.eval()
    with torch.no_grad():
        weights = model.head.attention_maps(model.backbone(data['inputs']))
    torch.testing.assert_close(weights.sum((3, 4)), torch.ones(2, 2, 3))


def test_grid_of_an_image_that_is_no_square():
    backbone = build('vit_tiny_patch16_224', SMALL | dict(img_size=(48, 96)))
    backbone.eval()
    with torch.no_grad():
        (output,) = backbone(torch.rand(1, 3, 48, 96))
        tokens = backbone.timm_model(torch.rand(1, 3, 48, 96))
    assert output.shape == (1, 96, 3, 6) and tokens.shape == (1, 1 + 18, 96)


def test_a_class_token_that_timm_does_not_count():
    """VOLO has no ``num_prefix_tokens``."""
    options = dict(img_size=64)
    backbone = build('volo_d1_224', options)
    backbone.eval()
    with torch.no_grad():
        (output,) = backbone(batch := images(options))
        tokens = backbone.timm_model.forward_features(batch)
    assert output.shape == (2, 384, 4, 4)
    assert torch.equal(output.flatten(2), tokens[:, 1:].transpose(1, 2))


def test_all_stages():
    backbone = build('swin_tiny_patch4_window7_224', CHANNELS_LAST[0][1], features_only=True)
    shapes = [tuple(output.shape) for output in backbone(torch.rand(1, 3, 64, 64))]
    assert shapes == [(1, 96, 16, 16), (1, 192, 8, 8), (1, 384, 4, 4), (1, 768, 2, 2)]


def test_channels_last_is_refused_with_this_backbone_as_the_fix():
    name, options, channels, _ = CHANNELS_LAST[0]
    head = dict(type='MLDecoderHead', num_classes=5, in_channels=channels)
    backbone = dict(type='TIMMBackbone', model_name=name, **options)
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, head=head))
    with pytest.raises(ValueError, match=r'\(1, 2, 2, 768\), channels last: .*TIMMFeatureMap'):
        model(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('coat_tiny', r"'coat_tiny' has no feature map"),
        ('deit_tiny_distilled_patch16_224', r'gives \(1, 192\), which is pooled'),
        ('pit_ti_224', r'gives \(1, 1, 256\), which is pooled'),  # its class token
    ],
)
def test_models_without_a_map(name, message):
    with pytest.raises(ValueError, match=message):
        build(name, {})(torch.rand(1, 3, 224, 224))


RESAMPLED = [
    ('vit_tiny_patch16_224', SMALL, 96),
    ('vit_base_patch16_siglip_224', SMALL | dict(global_pool=''), 96),
    ('beit_base_patch16_224', SMALL, (64, 96)),
    ('swin_tiny_patch4_window7_224', dict(img_size=224, depths=(1, 1, 1, 1)), 160),
    ('maxvit_pico_rw_256', dict(img_size=64, depths=(1, 1, 1, 1)), 96),
    ('efficientvit_m0', dict(img_size=224), 448),
]


@pytest.mark.parametrize(('name', 'options', 'img_size'), RESAMPLED, ids=[r[0] for r in RESAMPLED])
def test_positions_are_resampled_as_timm_does_it(name, options, img_size):
    small = build(name, options)
    state = small.state_dict()
    large = build(name, options | dict(img_size=img_size))
    assert large.load_state_dict(state, strict=True)
    theirs = timm.create_model(
        name,
        pretrained=True,
        pretrained_cfg_overlay=dict(
            state_dict={key.removeprefix('timm_model.'): v for key, v in state.items()},
            num_classes=0,
        ),
        **(options | dict(img_size=img_size, num_classes=0)),
    )
    held = large.timm_model.state_dict()
    assert all(torch.equal(value, held[key]) for key, value in theirs.state_dict().items())
    assert any(value.shape != state[f'timm_model.{key}'].shape for key, value in held.items())


def test_positions_without_a_class_token_ahead():
    """ConViT's class token comes behind them; timm itself loads it at one size only."""
    options = dict(depth=2, embed_dim=16)
    small = build('convit_tiny', options | dict(img_size=64))
    large = build('convit_tiny', options | dict(img_size=96))
    large.load_state_dict(small.state_dict(), strict=True)
    expected = timm.layers.resample_abs_pos_embed(
        small.timm_model.pos_embed, [6, 6], num_prefix_tokens=0
    )
    assert torch.equal(large.timm_model.pos_embed, expected)


@pytest.mark.parametrize(
    ('name', 'options', 'others'),
    [
        ('vit_tiny_patch16_224', SMALL, dict(reg_tokens=4)),
        ('hiera_tiny_224', dict(stages=(1, 1, 1, 1)), dict(img_size=(256, 256))),
    ],
)
def test_positions_that_cannot_be_resampled(name, options, others):
    state = build(name, options).state_dict()
    with pytest.raises(RuntimeError, match=r'size mismatch for timm_model\.pos_embed'):
        build(name, options | others).load_state_dict(state)


def test_a_frozen_network_stays_as_it_is():
    torch.manual_seed(0)
    backbone = MODELS.build(
        dict(type='TIMMFeatureMap', model_name='efficientnet_lite0', frozen=True)
    )
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    head = torch.nn.Conv2d(1280, 2, 1)
    torch.nn.Sequential(backbone, head).train()
    assert head.training
    (feats,) = backbone(torch.randn(2, 3, 64, 64))
    assert not feats.requires_grad
    head(feats).sum().backward()
    assert head.weight.grad is not None
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_batch_norms_that_keep_their_statistics_are_trained_all_the_same():
    backbone = MODELS.build(
        dict(type='TIMMFeatureMap', model_name='tf_efficientnet_lite0', norm_eval=True)
    )
    timm_model = copy.deepcopy(backbone.timm_model).eval()
    backbone.train()
    images = torch.rand(2, 3, 64, 64)
    (map_,) = backbone(images)
    torch.testing.assert_close(map_, timm_model.forward_features(images))
    map_.mean().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    for name, buffer in timm_model.named_buffers():
        torch.testing.assert_close(backbone.timm_model.get_buffer(name), buffer)
    dropouts = [each for each in backbone.modules() if isinstance(each, torch.nn.Dropout)]
    assert all(each.training for each in dropouts)


@pytest.fixture
def cached_backbone():
    return build_cached_backbone()


def build_cached_backbone(**kwargs):
    torch.manual_seed(0)
    cfg = dict(model_name='resnet18', frozen=True, features_only=True, out_indices=(3, 4))
    kwargs = {**cfg, 'cache_gigabytes': 1, **kwargs}
    backbone = MODELS.build(dict(type='TIMMFeatureMap', **kwargs))
    backbone.seen = []
    backbone.timm_model.register_forward_pre_hook(
        lambda _, args: backbone.seen.append(len(args[0]))
    )
    return backbone


def same(maps, expected):
    return all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True))


def test_a_cached_network_sees_each_image_once_in_a_training(cached_backbone):
    images = torch.randn(4, 3, 64, 64)
    expected = cached_backbone(images)
    cached_backbone(images)
    assert cached_backbone.seen == [4, 4]  # no training yet
    cached_backbone.train()
    assert same(cached_backbone(images), expected)
    order = [2, 0, 2]
    assert same(cached_backbone(images[order]), [maps[order] for maps in expected])
    average = copy.deepcopy(cached_backbone).eval()
    assert same(average(images), expected)
    assert cached_backbone.seen == average.seen == [4, 4, 4]
    nearly = images.clone()
    nearly[1, 0, 0, 0] += 1
    maps = cached_backbone(nearly)
    assert cached_backbone.seen == [4, 4, 4, 1]
    assert not torch.equal(maps[0][1], expected[0][1])
    assert torch.equal(maps[0][0], expected[0][0])
    (cached_backbone(images)[1] * torch.ones(1, requires_grad=True)).sum().backward()


def test_other_weights_and_precisions_are_other_maps(cached_backbone):
    images = torch.randn(2, 3, 64, 64)
    cached_backbone.train()
    before = cached_backbone(images)
    with torch.autocast('cpu', torch.bfloat16):
        assert cached_backbone(images)[0].dtype == torch.bfloat16
    assert same(cached_backbone(images), before)
    state = {name: value * 0.5 for name, value in cached_backbone.state_dict().items()}
    load_state_dict(cached_backbone, state, strict=True)
    assert not same(cached_backbone(images), before)


@pytest.mark.parametrize('in_files', [False, True])
def test_a_full_cache_computes_the_rest(in_files, tmp_path):
    images = torch.randn(4, 3, 64, 64)
    size = 4 * (256 * 4 * 4 + 512 * 2 * 2) + 500 * in_files  # names and shapes
    folder = str(tmp_path) if in_files else None
    backbone = build_cached_backbone(cache_gigabytes=2.5 * size / 1e9, cache_dir=folder)
    backbone.train()
    expected = backbone(images)
    torch.testing.assert_close(backbone(images), expected)
    assert backbone.seen == [4, 2]
    if in_files:
        again = build_cached_backbone(cache_gigabytes=2.5 * size / 1e9, cache_dir=folder)
        again.train()
        for _ in range(2):  # what is there counts
            torch.testing.assert_close(again(images), expected)
        assert again.seen == [2, 2]


def test_maps_in_a_folder_serve_other_networks(tmp_path):
    folder = tmp_path / 'maps'
    images = torch.randn(4, 3, 64, 64)
    tested = build_cached_backbone(cache_dir=str(folder)).eval()
    expected = tested(images)
    assert not folder.exists()  # what is tested once is not kept

    trained = build_cached_backbone(cache_dir=str(folder)).to(memory_format=torch.channels_last)
    trained.train()
    with torch.autocast('cpu', torch.bfloat16):
        half = trained(images)
    torch.testing.assert_close(trained(images), expected)
    expected = trained(images)

    assert same(tested(images), expected)
    again = build_cached_backbone(cache_dir=str(folder))
    with torch.autocast('cpu', torch.bfloat16):
        assert same(again(images), half)
    assert again.seen == [] and tested.seen == [4]
    tested(torch.randn(4, 3, 64, 64))
    assert len([*folder.iterdir()]) == 8

    other = build_cached_backbone(cache_dir=str(folder), out_indices=(2, 3))
    other(images)
    assert other.seen == [4]


def test_maps_that_cannot_be_read_are_computed(tmp_path):
    images = torch.randn(2, 3, 64, 64)
    backbone = build_cached_backbone(cache_dir=str(tmp_path))
    backbone.train()
    expected = backbone(images)
    first, second = sorted(tmp_path.iterdir())
    first.write_bytes(b'')
    second.write_bytes(second.read_bytes()[:-9])
    assert same(backbone(images), expected)
    assert backbone.seen == [2, 2]
    assert same(backbone(images), expected)
    assert backbone.seen == [2, 2]


def test_a_network_that_learns_has_no_cache():
    with pytest.raises(ValueError, match='frozen=True'):
        TIMMFeatureMap('resnet18', cache_gigabytes=1)
    with pytest.raises(ValueError, match='cache_gigabytes'):
        TIMMFeatureMap('resnet18', frozen=True, cache_dir='maps')
