"""Every row of the tables parses, says what the design says, and builds its model."""

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from classifiers import build_without_weights
from fake_coco import write_coco
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpretrain.apis import ModelHub
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from tiny_run import load_tool
from torch.utils.flop_counter import FlopCounterMode

from mmpretrain_mldecoder.engine.checks.pixels import pixel_differences

CONFIGS = Path(__file__).parents[2] / 'configs'
ROWS = sorted(
    str(path.relative_to(CONFIGS))
    for folder in ('mldecoder', 'linear', 'imagenet', 'demo', 'finetune')
    for path in (CONFIGS / folder).glob('*.py')
)
TRESNETS = {
    'tresnet_m_coco2014': 224,
    'tresnet_l_coco2014-448px': 448,
    'tresnet_xl_coco2014-640px': 640,
    'tresnet_m_openimages-200groups': 224,
}
# Of PaddleX: images a GPU, learning rate, EMA.
PADDLEX = {
    'lcnet_coco-448px': (64, 1e-4, False),
    'hgnetv2_b0_coco-448px': (64, 1e-4, False),
    'hgnetv2_b4_coco-448px': (64, 1e-4, False),
    'hgnetv2_b6_coco-448px': (8, 1e-4, True),
    'vit_b16_clip_coco-448px': (16, 5e-5, False),
}
# Foundation backbones: layer decay, weight decay.
FOUNDATION = {
    'convnext_t_coco-448px': (0.86, 1e-8),
    'swin_t_coco-448px': (0.8, 0.05),
    'vit_b16_openai_coco-448px': (0.6, 0.05),
    'vit_s16_dinov3_coco-448px': (0.8, 0.05),
}
BACKBONES = ('r50', 'r50_timm', 'r50vd', 'r50vd_ssld', 'r50vd_fix_ssld')


def load(row: str) -> Config:
    return Config.fromfile(CONFIGS / row)


def test_every_row_of_the_design_is_there():
    expected = {f'mldecoder/{name}_coco.py' for name in BACKBONES}
    expected |= {f'mldecoder/{name}_coco-448px.py' for name in BACKBONES}
    expected |= {f'linear/{name}_coco.py' for name in BACKBONES}
    expected |= {f'imagenet/{name}_in1k.py' for name in BACKBONES}
    expected |= {'mldecoder/r101_coco-448px.py', 'mldecoder/r50_timm_coco-q10.py'}
    expected |= {f'mldecoder/{name}.py' for name in (*TRESNETS, *PADDLEX, *FOUNDATION)}
    assert expected <= set(ROWS)


@pytest.mark.parametrize('row', ROWS)
def test_row_is_short_and_builds(row):
    assert len((CONFIGS / row).read_text().splitlines()) <= 25
    model = load(row).model
    model.backbone.pop('init_cfg', None)
    assert logits_shape(json.dumps(model.to_dict())) == (2, model.head.num_classes)


@cache  # many rows differ in their weights only
def logits_shape(config: str) -> tuple[int, ...]:
    config = json.loads(config)
    side = config['backbone'].get('img_size', 96)
    return build_without_weights(config)(torch.empty(2, 3, side, side, device='meta')).shape


@pytest.mark.parametrize(
    'row',
    [row for row in ROWS if row.startswith(('mldecoder', 'linear')) and 'openimages' not in row],
)
def test_coco_recipe(row):
    """The numbers of the design's section 2, per recipe; a TResNet has a size of its own only."""
    cfg = load(row)
    tresnet = TRESNETS.get(Path(row).stem)
    final = '448px' in row and not tresnet
    size = tresnet or (448 if final else 320 if 'fix' in row else 224)
    train = {step['type']: step for step in cfg.train_dataloader.dataset.pipeline}
    assert list(train) == [
        'LoadWholeImage',
        'SquareResize',
        'RandomCutout',
        'TwoOpRandAugment',
        'PackMultiLabelInputs',
    ]
    assert train['SquareResize']['scale'] == size
    assert train['RandomCutout']['size'] == (224 if final else 0.5)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[1] == dict(type='SquareResize', scale=size)
    batch, rate, has_ema = PADDLEX.get(Path(row).stem, (64 if final else 56, 1e-4, True))
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.data_preprocessor.to_rgb
    if 'openai' not in row:  # its own, see below
        assert cfg.data_preprocessor.std == ([58.395, 57.12, 57.375] if final else [255.0] * 3)
    layers, decay = FOUNDATION.get(Path(row).stem, (None, 1e-4))
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW' if final else 'Adam', lr=rate, weight_decay=decay, fused=True
    )
    assert cfg.optim_wrapper.get('paramwise_cfg', {}).get('layer_decay_rate') == layers
    assert cfg.auto_scale_lr.base_batch_size == 4 * batch
    assert cfg.train_cfg.max_epochs == 40
    assert (dict(type='DualEMAHook', decay=0.9997) in cfg.custom_hooks) == has_ema
    # dotted options reach the weights, as the error of a missing checkpoint says
    cfg.merge_from_dict({'model.backbone.init_cfg': None})
    assert cfg.model.backbone.init_cfg is None


WHOLE = {
    row.weights: row.config
    for row in ModelHub._models_dict.values()
    if str(row.weights).startswith(('paddlex://', 'miil://'))
}


@pytest.mark.parametrize('weights', WHOLE)
def test_published_weights_tell_other_pixels_from_those_of_their_row(weights):
    cfg = Config.fromfile(WHOLE[weights])
    lines = []
    for change in ({}, dict(std=[64.0] * 3)):
        steps = [each for each in cfg.test_dataloader.dataset.pipeline if 'Pack' not in each.type]
        preprocessor = MODELS.build(
            dict(type='ClsDataPreprocessor') | cfg.data_preprocessor.to_dict() | change
        )
        lines.append(pixel_differences(weights, preprocessor, map(TRANSFORMS.build, steps)))
    assert lines[0] == ''
    assert lines[1].startswith(f'{weights} was trained with other pixels: std 0.251')


@pytest.mark.parametrize('name', FOUNDATION)
def test_foundation_rows_start_from_weights_of_timm(name):
    """With their pixels: nothing but the size and the interpolation of the resize differs."""
    cfg = load(f'mldecoder/{name}.py')
    backbone = cfg.model.backbone
    weights = backbone.init_cfg.checkpoint.removeprefix('timm://')
    assert weights in timm.list_pretrained()
    assert weights.partition('.')[0] == backbone.model_name
    theirs = timm.models.get_pretrained_cfg(weights)
    for ours, own in (('mean', theirs.mean), ('std', theirs.std)):
        assert cfg.data_preprocessor[ours] == pytest.approx([255 * x for x in own], rel=1e-6)
    preprocessor = MODELS.build(dict(type='ClsDataPreprocessor', **cfg.data_preprocessor))
    resize = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[1])
    line = pixel_differences(f'timm://{weights}', preprocessor, [resize])
    side = theirs.input_size[1]
    assert line.endswith(
        f'other pixels: size 448 x 448 (timm: {side} x {side}); '
        'interpolation bilinear (timm: bicubic)'
    )


@pytest.mark.parametrize('name', [name for name in TRESNETS if 'coco' in name])
def test_coco_2014_as_the_authors_read_it(name, tmp_path):
    """Their splits, without the images that have no label; their start, where there is one."""
    cfg = load(f'mldecoder/{name}.py')
    for split, loader in (
        ('train', cfg.train_dataloader),
        ('val', cfg.val_dataloader),
        ('val', cfg.test_dataloader),
    ):
        assert loader.dataset.ann_file == f'annotations/instances_{split}2014.json'
        assert loader.dataset.data_prefix == f'{split}2014'
        assert loader.dataset.data_root == 'data/COCO2014'
    coco = write_coco(tmp_path, dict(train=1, val=5))
    options = dict(data_root=str(coco), ann_file='annotations/instances_val2017.json')
    dataset = DATASETS.build(cfg.test_dataloader.dataset | options | dict(data_prefix='val2017'))
    assert len(dataset) == 4
    checkpoint = (cfg.model.backbone.get('init_cfg') or {}).get('checkpoint')
    known = {name.removeprefix('timm://') for name in [checkpoint] if name}
    assert known <= set(timm.list_models('tresnet*', pretrained=True))
    assert bool(known) == ('xl' not in name)


@pytest.mark.parametrize(
    ('name', 'model_name', 'options'),
    [
        ('tresnet_m_coco2014', 'tresnet_m', {}),
        ('tresnet_l_coco2014-448px', 'tresnet_v2_l', {}),
        ('tresnet_xl_coco2014-640px', 'tresnet_v2_l', dict(layers=(3, 8, 34, 5))),
    ],
)
def test_tresnet_is_timms(name, model_name, options):
    """The same parameters, and the map that the head reads is timm's, bit by bit.

    The XL is compared by its parameters only: its weights alone take 280 MB.
    """
    config = load(f'mldecoder/{name}.py').model.backbone
    config.pop('init_cfg', None)
    with torch.device('cpu' if 'xl' not in name else 'meta'):
        timm_model = timm.create_model(model_name, num_classes=0, global_pool='', **options).eval()
        backbone = MODELS.build(config)
    backbone.eval()  # the host's returns None
    shapes = {name: weight.shape for name, weight in timm_model.state_dict().items()}
    ours = {name: weight.shape for name, weight in backbone.timm_model.state_dict().items()}
    assert ours == shapes
    if 'xl' not in name:
        timm_model.load_state_dict(backbone.timm_model.state_dict())
        pixels = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            features = backbone(pixels)[-1]
            assert torch.equal(features, timm_model.forward_features(pixels))
        assert features.shape == (1, 2048, 3, 2)


EVALUATE_ONLY = {
    'imagenet/r50_timm_in1k.py': "timm's A1 recipe",
    'imagenet/r50vd_ssld_in1k.py': 'the weights are distilled',
    'imagenet/r50vd_fix_ssld_in1k.py': 'the weights are distilled',
    'mldecoder/tresnet_m_openimages-200groups.py': 'its training is not published',
}

# DESIGN: params in M with the 1000-way fc, FLOPs in G as torch counts them (2 a multiply-add).
IMAGENET = {
    'r50': (25.560, 8.178, 8.190),
    'r50_timm': (25.560, 8.178, 8.190),
    'r50vd': (25.580, 8.658, 8.670),
    'r50vd_ssld': (25.580, 8.658, 8.670),
    'r50vd_fix_ssld': (25.580, 17.664, 17.696),
}


@pytest.mark.parametrize('name', BACKBONES)
def test_imagenet_params_and_flops(name):
    """Within 0.3 % of the published table, and equal to torch's own count of the kind."""
    cfg = load(f'imagenet/{name}_in1k.py')
    model = build_without_weights(cfg.model)
    params, counted, published = IMAGENET[name]
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(params, rel=3e-3)
    size = cfg.test_dataloader.dataset.pipeline[2]['crop_size']
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, size, size, device='meta'))
    flops = counter.get_total_flops() / 1e9
    assert flops == pytest.approx(counted, abs=1e-3)
    assert flops == pytest.approx(published, rel=3e-3)


# PaddleClas' ppcls/configs/ImageNet/ResNet/{ResNet50,ResNet50_vd}.yaml.
@pytest.mark.parametrize(
    ('name', 'epochs', 'decay', 'schedule'),
    [
        ('r50', 120, 1e-4, dict(type='MultiStepLR', milestones=[30, 60, 90], gamma=0.1)),
        ('r50vd', 200, 7e-5, dict(type='CosineAnnealingLR', T_max=200)),
    ],
)
def test_imagenet_recipe(name, epochs, decay, schedule):
    cfg = load(f'imagenet/{name}_in1k.py')
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=decay)
    assert 'paramwise_cfg' not in cfg.optim_wrapper  # L2 on everything
    assert schedule | cfg.param_scheduler == cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.auto_scale_lr.base_batch_size == 256
    regularised = name == 'r50vd'
    assert cfg.model.head.loss.get('label_smooth_val', 0) == (0.1 if regularised else 0)
    mixup = dict(augments=dict(type='Mixup', alpha=0.2))
    assert cfg.model.get('train_cfg') == (mixup if regularised else None)


@pytest.mark.parametrize(
    ('name', 'short', 'crop'), [('r50', 256, 224), ('r50vd_fix_ssld', 320, 320)]
)
def test_imagenet_pixels_are_paddleclas(name, short, crop):
    """Its decode, resize, crop and normalisation, written out with OpenCV and numpy."""
    photo = np.random.default_rng(0).integers(0, 256, (301, 400, 3), dtype=np.uint8)
    png = cv2.imencode('.png', photo)[1].tobytes()
    cfg = load(f'imagenet/{name}_in1k.py')
    steps = [step for step in cfg.test_dataloader.dataset.pipeline if 'Load' not in step['type']]
    results = dict(img=cv2.imdecode(np.frombuffer(png, np.uint8), 1), gt_label=0)
    packed = Compose([TRANSFORMS.build(step) for step in steps])(results)
    preprocessor = MODELS.build(dict(type='ClsDataPreprocessor', **cfg.data_preprocessor))
    ours = preprocessor(dict(inputs=[packed['inputs']]))['inputs'][0].permute(1, 2, 0).numpy()

    factor = short / 301
    rgb = cv2.resize(photo[..., ::-1], (round(400 * factor), round(301 * factor)))
    top, left = (rgb.shape[0] - crop) // 2, (rgb.shape[1] - crop) // 2
    rgb = rgb[top : top + crop, left : left + crop].astype(np.float32) / np.float32(255)
    expected = (rgb - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)  # float32 against float64


@pytest.mark.parametrize('row', EVALUATE_ONLY)
def test_evaluate_only_rows_say_why(row, capsys):
    with pytest.raises(SystemExit):
        load_tool('train')(CONFIGS / row)
    error = ' '.join(capsys.readouterr().err.split())
    assert f'it is for testing only, because {EVALUATE_ONLY[row]}' in error
