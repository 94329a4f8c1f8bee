import pickle
import sys

import numpy as np
import pytest
import torch

from mmpretrain_mldecoder.checkpoints.load import read_weights

WEIGHTS = {'fc.weight': torch.tensor([[1.5, -2.0]]), 'fc.bias': torch.tensor([0.25])}


def assert_same(content):
    assert set(content) == set(WEIGHTS)
    for name, value in WEIGHTS.items():
        assert np.array_equal(np.asarray(content[name]), value.numpy()), name


@pytest.mark.parametrize('ending', ['.pdparams', '.pdema'])
def test_paddle(tmp_path, ending):
    path = tmp_path / f'weights{ending}'
    path.write_bytes(pickle.dumps({name: value.numpy() for name, value in WEIGHTS.items()}, 4))
    assert_same(read_weights(path))


@pytest.mark.parametrize('ending', ['.pth', '.bin', '.ckpt'])
def test_torch(tmp_path, ending):
    path = tmp_path / f'weights{ending}'
    torch.save(WEIGHTS, path)
    assert_same(read_weights(str(path)))
    torch.save(dict(model=WEIGHTS, epoch=3), path)
    assert_same(read_weights(path)['model'])


def test_torch_without_a_dict(tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save([WEIGHTS['fc.bias']], path)
    with pytest.raises(ValueError, match=r'weights\.pth holds a list, not a dict of weights'):
        read_weights(path)


def test_safetensors(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'weights.safetensors'
    safetensors.save_file(WEIGHTS, path)
    assert_same(read_weights(path))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'<html>', 'is a web page, not weights'),
        (b'\x08\0\0\0\0\0\0\0{}', 'is not a safetensors file, or is'),
        (None, 'is not a safetensors file, or is'),
    ],
)
def test_damaged_safetensors(tmp_path, content, message):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'weights.safetensors'
    if content is None:
        safetensors.save_file(WEIGHTS, path)
        content = path.read_bytes()[:-1]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'weights\.safetensors {message}'):
        read_weights(path)


def test_safetensors_is_not_installed(tmp_path, monkeypatch):
    path = tmp_path / 'weights.safetensors'
    path.write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(ImportError, match='pip install safetensors'):
        read_weights(path)


@pytest.mark.parametrize('ending', ['.pdparams', '.safetensors', '.pth'])
def test_missing(tmp_path, ending):
    with pytest.raises(FileNotFoundError, match=f'none{ending}'):
        read_weights(tmp_path / f'none{ending}')
