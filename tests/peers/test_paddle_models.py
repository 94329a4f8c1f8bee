"""PaddleClas' models and ours give the same logits from the same ``.pdparams`` and photos."""

import json

import cv2
import numpy as np
import pytest
import torch
from converted_models import PADDLE_ROWS, build_row, max_relative_difference
from formula_weights import formula_images
from mmengine.runner import load_checkpoint
from published_names import published_list

SIZES = [(224, 224), (320, 320), (448, 448), (225, 331)]  # height, width
SIZES_OF_CLIP = [(448, 448)]  # others are no sizes of the row
# Promised is 1e-4. float32 rounding on both sides gives up to 2e-6, and a tighter bound sees
# smaller mistakes.
TOLERANCE = 1e-5


def photos(shared_data, height: int, width: int) -> np.ndarray:
    """Two photos ``(B, 3, H, W)``, with ImageNet's mean and standard deviation."""
    paths = sorted((shared_data / 'coco_tiny' / 'val2017').glob('*.jpg'))[:2]
    images = [cv2.resize(cv2.imread(str(path)), (width, height)) for path in paths]
    rgb = np.stack(images)[..., ::-1].astype(np.float32) / 255
    normalized = (rgb - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return np.ascontiguousarray(normalized.transpose(0, 3, 1, 2), dtype=np.float32)


@pytest.fixture(scope='module')
def folder(run_paddle, shared_data, tmp_path_factory):
    """What PaddleClas made: weights and outputs of all models."""
    folder = tmp_path_factory.mktemp('paddle_models')
    inputs = {f'{height}x{width}': photos(shared_data, height, width) for height, width in SIZES}
    np.savez(folder / 'inputs.npz', **inputs)
    run_paddle('paddle_models.py', folder)
    return folder


def load(name: str, path) -> torch.nn.Module:
    """Our model for PaddleClas' ``name``, from its file, as ``load_from`` reads it."""
    model = build_row(name)
    load_checkpoint(model, str(path), map_location='cpu', strict=True)
    return model


def sizes_of(name: str) -> list[str]:
    sizes = SIZES_OF_CLIP if name.startswith('CLIP') else SIZES
    return [f'{height}x{width}' for height, width in sizes]


@torch.no_grad()
def compare(model: torch.nn.Module, folder, name: str) -> list[str]:
    """Compare the outputs of all inputs with those of PaddleClas, and return what there was."""
    features = []
    model.backbone.register_forward_hook(lambda module, args, out: features.append(out[-1]))
    expected = np.load(folder / f'{name}.npz')
    compared = []
    inputs = np.load(folder / 'inputs.npz')
    for size in sizes_of(name):
        images = inputs[size]
        outputs = {'logits': model(torch.from_numpy(images)), 'features': features[-1]}
        for kind in outputs:
            key = f'{size}/{kind}'
            if key in expected:
                difference = max_relative_difference(outputs[kind], expected[key])
                print(f'{name} {key}: {difference:.1e}')
                assert difference < TOLERANCE, key
                compared.append(key)
    assert compared == [key for key in expected if key.partition('/')[0] in sizes_of(name)]
    return compared


@pytest.mark.parametrize('name', PADDLE_ROWS)
def test_logits_and_features_of_photos(folder, name):
    compared = compare(load(name, folder / f'{name}.pdparams'), folder, name)
    assert len(compared) == len(sizes_of(name)) * (1 if '-q' in name else 2)


def test_names_are_those_of_the_fixture(folder):
    parameters = json.loads((folder / 'parameters.json').read_text())['parameters']
    for name, shapes in parameters.items():
        if not name.startswith('ResNet'):
            listed = published_list(f'paddleclas_{name.removesuffix("-q80")}_ml_decoder')
            assert {key: tuple(shape) for key, shape in shapes.items()} == listed


@torch.no_grad()
@pytest.mark.parametrize('name', ['ResNet50', 'ResNet50_vd'])
def test_pretrained_backbone_gives_the_features(folder, name):
    """``init_cfg`` of a backbone under ML-Decoder takes an ImageNet classifier's file."""
    init_cfg = dict(type='Pretrained', checkpoint=str(folder / f'{name}.pdparams'))
    model = build_row(f'{name}-q80', **{'model.backbone.init_cfg': init_cfg})
    model.init_weights()
    images = np.load(folder / 'inputs.npz')['225x331']
    features = model.backbone(torch.from_numpy(images))[-1]
    expected = np.load(folder / f'{name}.npz')['225x331/features']
    assert max_relative_difference(features, expected) < TOLERANCE


@torch.no_grad()
def test_checkpoints_of_its_training(run_paddle, tmp_path):
    """``save_model`` of PaddleClas, without EMA and with it.

    With it, ``.pdparams`` holds the average and ``.pdema`` the raw weights, but
    ``best_model/model.pdparams`` the raw ones.
    """
    images = formula_images(64, 96)
    np.savez(tmp_path / 'inputs.npz', images=images)
    run_paddle('paddle_models.py', tmp_path, '--checkpoints')
    expected = np.load(tmp_path / 'outputs.npz')
    files = {
        'plain/latest.pdparams': 'raw',
        'ema/latest.pdparams': 'ema',
        'ema/latest.pdema': 'raw',
        'ema/best_model.pdparams': 'ema',
        'ema/best_model/model.pdparams': 'raw',
    }
    other = {'raw': 'ema', 'ema': 'raw'}
    for file, kind in files.items():
        model = load('ResNet50_vd-q80', tmp_path / file)
        logits = model(torch.from_numpy(images))
        assert max_relative_difference(logits, expected[kind]) < TOLERANCE, file
        assert max_relative_difference(logits, expected[other[kind]]) > 10 * TOLERANCE, file
