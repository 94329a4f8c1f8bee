"""Names; test_recorded_models.py compares values."""

import pickle

import numpy as np
import pytest
import torch
from converted_models import build_row
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import MODELS
from published_names import published_list, random_arrays

from mmpretrain_mldecoder.checkpoints import PUBLISHED
from mmpretrain_mldecoder.checkpoints.conversion import convert

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


def test_unknown_name():
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
