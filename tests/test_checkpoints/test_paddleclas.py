import pickle

import numpy as np
import pytest
import torch
from classifiers import classifier_of
from converted_models import build_row
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import MODELS
from published_names import (
    BLOCKS,
    paddleclas_fc,
    paddleclas_ml_decoder,
    paddleclas_resnet,
    published_list,
    random_arrays,
)
from tiny_run import assert_equal

from mmpretrain_mldecoder.checkpoints import PUBLISHED
from mmpretrain_mldecoder.checkpoints.conversion import convert, family_of

WIDTH = 8


def resnet(depth, vd, width=64):
    widths = dict(stem_channels=width, base_channels=width)
    return dict(type='ResNetVd' if vd else 'ResNet', depth=depth, **widths)


# ---- names; test_recorded_models.py compares values


@pytest.mark.parametrize(
    'name', ['ResNet50', 'ResNet50_vd', 'ResNet50_ml_decoder', 'ResNet50_vd_ml_decoder']
)
def test_published_lists_map_strictly(name):
    vd, has_decoder = '_vd' in name, 'decoder' in name
    shapes = published_list(f'paddleclas_{name}')
    other = paddleclas_ml_decoder(2048, 80) if has_decoder else paddleclas_fc(2048, 1000)
    assert shapes == paddleclas_resnet(50, vd) | other

    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    conversion = convert(arrays)
    assert conversion.family == 'paddleclas'
    assert sorted(conversion.sources.values()) == sorted(shapes)  # each is used once
    head = (80, 2048, 'MLDecoderHead') if has_decoder else (1000, 2048)
    model = classifier_of(resnet(50, vd), *head)
    model.load_state_dict(conversion.state_dict, strict=True)


@pytest.mark.parametrize('vd', [False, True], ids=['vb', 'vd'])
@pytest.mark.parametrize('depth', BLOCKS)
def test_all_depths_map_strictly(depth, vd):
    out_channels = WIDTH * (32 if depth >= 50 else 8)
    shapes = paddleclas_resnet(depth, vd, WIDTH) | paddleclas_fc(out_channels, 5)
    conversion = convert(random_arrays(shapes))
    assert sorted(conversion.sources.values()) == sorted(shapes)
    if depth == 200 and not vd:
        return  # the host's ResNet has no such depth
    model = classifier_of(resnet(depth, vd, WIDTH), 5, out_channels)
    result = model.load_state_dict(conversion.state_dict, strict=False)
    left_over = set()
    if depth < 50 and not vd:
        left_over = {name for name in conversion.sources if 'layer1.0.downsample' in name}
        assert len(left_over) == 5
    assert result.missing_keys == []
    assert set(result.unexpected_keys) == left_over


# ---- other files of PaddleClas


def test_student_of_a_distillation():
    student = random_arrays(paddleclas_resnet(18, True, WIDTH) | paddleclas_fc(64, 5), seed=1)
    teacher = random_arrays(paddleclas_resnet(50, True, WIDTH) | paddleclas_fc(256, 5), seed=2)
    whole = {f'Teacher.{name}': value for name, value in teacher.items()}
    whole |= {f'Student.{name}': value for name, value in student.items()}
    conversion = convert(whole)
    assert_equal(conversion.state_dict, convert(student).state_dict)
    assert conversion.sources['head.fc.bias'] == 'Student.fc.bias'
    assert set(conversion.skipped) == {f'Teacher.{name}' for name in teacher}


def test_names_of_paddleclas_2_0():
    """Its class ResNet_vd: conv1_1 to conv1_3, bb_STAGE_BLOCK, out; inside, _conv, _batch_norm."""
    arrays = random_arrays(paddleclas_resnet(34, True, WIDTH) | paddleclas_fc(64, 5))
    places = [f'bb_{stage}_{i}' for stage, n in enumerate(BLOCKS[34]) for i in range(n)]
    older = {}
    for name, value in arrays.items():
        name = name.replace('.conv.', '._conv.').replace('.bn.', '._batch_norm.')
        for number, place in reversed(list(enumerate(places))):
            name = name.replace(f'blocks.{number}.', f'{place}.')
        for i in range(3):
            name = name.replace(f'stem.{i}.', f'conv1_{i + 1}.')
        older[name.replace('fc.', 'out.')] = value
    assert {'conv1_3._batch_norm._variance', 'bb_3_2.conv1._conv.weight', 'out.bias'} <= {*older}
    assert family_of(older) == 'paddleclas'
    conversion = convert(older)
    source = conversion.sources['backbone.layer2.0.downsample.1.weight']
    assert source == 'bb_1_0.short._conv.weight'
    assert_equal(conversion.state_dict, convert(arrays).state_dict)


def test_self_attention_is_refused():
    shapes = paddleclas_resnet(18, True, WIDTH) | paddleclas_ml_decoder(64, 4, dims=16, hidden=24)
    shapes['fc.decoder.layers.1.self_attn.q_proj.weight'] = (16, 16)
    with pytest.raises(ValueError, match=r'fc\.decoder\.layers\.1\.self_attn.*heads of depth 1'):
        convert(random_arrays(shapes))


@pytest.mark.parametrize('number', [5, 7])
def test_missing_block(number):
    arrays = random_arrays(paddleclas_resnet(18, True, WIDTH))
    arrays = {k: v for k, v in arrays.items() if not k.startswith(f'blocks.{number}.')}
    with pytest.raises(ValueError, match=r'7 blocks, up to number .* are no ResNet'):
        convert(arrays)


@pytest.mark.parametrize(
    'name',
    ['blocks.0.conv9.conv.weight', 'blocks.0.se.bn.weight', 'stem.0.bn._median', 'fc.norm.bias',
     'fc.decoder.layers.0.linear3.weight', 'head.weight', 'blocks.0.conv0.weight'],
)  # fmt: skip
def test_unknown_name(name):
    arrays = random_arrays(paddleclas_resnet(18, True, WIDTH))
    arrays[name] = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match=f'^1 of {len(arrays)} names are unknown.*: {name}$'):
        convert(arrays)


def test_other_networks_of_paddle_are_not_recognised():
    assert family_of({'conv1.weight': 0, 'blocks.0.conv0.conv.weight': 0}) is None


# ---- networks of timm

NETWORKS = {
    'PPLCNet_x1_0': 'lcnet_100',
    'PPHGNetV2_B0': 'hgnetv2_b0',
    'PPHGNetV2_B4': 'hgnetv2_b4',
    'PPHGNetV2_B6': 'hgnetv2_b6',
    'CLIP_vit_base_patch16_224': 'vit_base_patch16_clip_224',
}


def zeros(name: str) -> dict[str, np.ndarray]:
    shapes = published_list(f'paddleclas_{name}_ml_decoder')
    return {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}


@pytest.mark.parametrize('name', NETWORKS)
def test_names_map_strictly(name):
    arrays = zeros(name)
    conversion = convert(arrays)
    assert conversion.family == 'paddleclas'
    assert conversion.skipped == (('proj',) if 'CLIP' in name else ())
    assert {*conversion.sources.values(), *conversion.skipped} == arrays.keys()
    with torch.device('meta'):
        model = build_row(f'{name}-q80')
    counters = {key for key in model.state_dict() if key.endswith('num_batches_tracked')}
    result = model.load_state_dict(conversion.state_dict, strict=False, assign=True)
    assert {*result.missing_keys} <= counters and result.unexpected_keys == []


@pytest.mark.parametrize('name', ['PPLCNet_x1_0', 'PPHGNetV2_B0'])
def test_backbone_of_a_classifier(name, tmp_path, monkeypatch):
    """Its last layer, which follows others after the pool, is not used."""
    shapes = published_list(f'paddleclas_{name}_ml_decoder')
    shapes = {key: shape for key, shape in shapes.items() if not key.startswith('fc.')}
    arrays = random_arrays(shapes | {'fc.weight': (1280, 1000), 'fc.bias': (1000,)})
    file = PUBLISHED['paddleclas'][name].files[0]
    (tmp_path / file).write_bytes(pickle.dumps(arrays, protocol=4))
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path))
    init_cfg = dict(type='Pretrained', checkpoint=f'paddleclas://{name}')
    config = dict(type='TIMMBackbone', model_name=NETWORKS[name], init_cfg=init_cfg)
    backbone = MODELS.build(config)
    backbone.init_weights()
    stem = 'conv1' if 'LCNet' in name else 'stem.stem1'
    first = next(backbone.parameters())
    assert torch.equal(first, torch.from_numpy(arrays[f'{stem}.conv.weight']))
    assert convert(arrays).skipped == ('fc.weight', 'fc.bias')


def test_clip_of_a_classifier():
    arrays = zeros('CLIP_vit_base_patch16_224')
    arrays = {key: array for key, array in arrays.items() if not key.startswith('head.')}
    arrays['head.fc_head.weight'] = np.zeros((768, 1000), np.float32)
    conversion = convert(arrays)
    assert conversion.skipped == ('proj', 'head.fc_head.weight')
    # Positions are those of the file; with ML-Decoder those of 448 px.
    assert conversion.state_dict['backbone.timm_model.pos_embed'].shape == (1, 1 + 14**2, 768)
    decoder = convert(zeros('CLIP_vit_base_patch16_224')).state_dict
    assert decoder['backbone.timm_model.pos_embed'].shape == (1, 1 + 28**2, 768)


def test_paddlex_has_the_classes_of_coco(tmp_path, monkeypatch):
    arrays = pickle.dumps(zeros('PPLCNet_x1_0'), protocol=4)
    (tmp_path / 'PP-LCNet_x1_0_ML_pretrained.pdparams').write_bytes(arrays)
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path))
    load = CheckpointLoader.load_checkpoint
    classes = load('paddlex://PP-LCNet_x1_0_ML', logger='silent')['meta']['dataset_meta']['classes']
    assert len(classes) == 80
    assert [classes[n] for n in (0, 1, 11, 79)] == ['person', 'bicycle', 'stop sign', 'toothbrush']


def test_unknown_name_of_a_network_of_timm():
    arrays = zeros('PPLCNet_x1_0') | {'blocks7.0.dw_conv.conv.weight': np.zeros((1, 1, 3, 3))}
    with pytest.raises(ValueError, match=r'^1 of \d+ names .*: blocks7\.0\.dw_conv\.conv\.weight$'):
        convert(arrays)


# As paddle.jit.save of 3.3 begins a file of weights.
PROGRAM = bytes(16) + b'\x04\0\0\0\x08\x05\x10\x08' + bytes(32)


@pytest.mark.parametrize('file', ['inference.pdiparams', 'ResNet50_ML_pretrained.pdparams'])
def test_inference_model(tmp_path, file):
    (tmp_path / file).write_bytes(PROGRAM)
    with pytest.raises(ValueError, match=rf'{file}.* inference model'):
        CheckpointLoader.load_checkpoint(str(tmp_path / file), logger='silent')
