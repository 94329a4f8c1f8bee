import pickle

import numpy as np
import pytest
import torch
import torchvision
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import MODELS
from published_names import paddleclas_fc, paddleclas_resnet, random_arrays
from web_server import Answer, serve

from mmpretrain_mldecoder.checkpoints import load_weights_only, recognise

load = CheckpointLoader.load_checkpoint
ARRAYS = random_arrays(paddleclas_resnet(18, True, 8) | paddleclas_fc(64, 3))


def _classifier() -> dict[str, torch.Tensor]:
    return torchvision.models.resnet18(num_classes=3).state_dict()


def _host_model():
    return MODELS.build(dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18)))


@pytest.mark.parametrize('ending', ['.pdparams', '.pdema'])
def test_paddle(tmp_path, ending):
    path = tmp_path / f'a{ending}'
    path.write_bytes(pickle.dumps(ARRAYS, protocol=4))
    loaded = load(str(path))
    assert loaded['meta']['converted'] == dict(source=str(path), family='paddleclas', skipped=[])
    assert np.array_equal(loaded['state_dict']['head.fc.bias'], ARRAYS['fc.bias'])


def test_safetensors(tmp_path):
    save_file = pytest.importorskip('safetensors.torch').save_file
    save_file(_classifier(), tmp_path / 'a.safetensors')
    loaded = load(str(tmp_path / 'a.safetensors'))
    assert loaded['meta']['converted']['family'] == 'torchvision'
    assert loaded['state_dict']['head.fc.weight'].shape == (3, 512)


@pytest.mark.parametrize('wrapped', [False, True])
def test_whole_classifier(tmp_path, wrapped):
    state = _classifier()
    torch.save(dict(state_dict=state, epoch=3) if wrapped else state, tmp_path / 'a.pth')
    loaded = load(str(tmp_path / 'a.pth'))
    result = _host_model().load_state_dict(
        {k: v for k, v in loaded['state_dict'].items() if k.startswith('backbone.')}, strict=False
    )
    assert all(name.endswith('num_batches_tracked') for name in result.missing_keys)
    assert torch.equal(loaded['state_dict']['backbone.conv1.weight'], state['conv1.weight'])


@pytest.mark.parametrize(
    'content',
    [
        dict(meta=dict(epoch=1), state_dict=_host_model().state_dict(), optimizer={}),
        _host_model().state_dict(),
        _host_model().backbone.state_dict(),  # torchvision's names, but no classifier
        dict(model=3, weights=torch.ones(2)),
        [torch.ones(2)],
        {},
    ],
    ids=['ours', 'bare', 'backbone', 'other', 'list', 'empty'],
)
def test_all_other_files_are_untouched(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    loaded, plain = load(str(tmp_path / 'a.pth')), load_weights_only(tmp_path / 'a.pth')
    assert type(loaded) is type(plain) and str(loaded) == str(plain)


def test_only_names_are_looked_at():
    names = {**_host_model().state_dict(), 'backbone.fc.weight': None}
    assert recognise(dict.fromkeys(names)) is None
    assert recognise(dict.fromkeys(_classifier())) == 'torchvision'


def test_address(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with serve() as server:
        server.answers['/a.pdparams'] = Answer(pickle.dumps(ARRAYS, protocol=4))
        loaded = load(f'{server.url}/a.pdparams')
        assert loaded['meta']['converted']['source'] == f'{server.url}/a.pdparams'
    assert (tmp_path / 'hub' / 'checkpoints' / 'a.pdparams').is_file()


def test_errors_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'absent\.pdparams'):
        load(str(tmp_path / 'absent.pdparams'))
    (tmp_path / 'a.pdparams').write_bytes(b'<!DOCTYPE html><html>')
    with pytest.raises(ValueError, match=r'a\.pdparams'):
        load(str(tmp_path / 'a.pdparams'))
    (tmp_path / 'b.pdparams').write_bytes(pickle.dumps({'w': ARRAYS['fc.bias']}, protocol=4))
    with pytest.raises(ValueError, match=r'b\.pdparams cannot be converted: .*\bw\b'):
        load(str(tmp_path / 'b.pdparams'))
    torch.save(_classifier() | {'layer1.0.se.weight': torch.ones(1)}, tmp_path / 'c.pth')
    with pytest.raises(ValueError, match=r'c\.pth cannot be converted: .*layer1\.0\.se\.weight'):
        load(str(tmp_path / 'c.pth'))


WEIGHTS = dict(weight=torch.ones(1))


@pytest.mark.parametrize(
    ('content', 'what'),
    [
        (dict(state_dict=[1]), 'its state_dict is no dict'),
        (dict(state_dict=None), 'its state_dict is no dict'),
        (dict(state_dict={1: torch.ones(1)}), 'its state_dict is no dict'),
        ({1: torch.ones(1)}, 'its state_dict is no dict'),
        (dict(state_dict=WEIGHTS, meta=[1]), 'its meta, or dataset_meta in it, is no dict'),
        (dict(state_dict=WEIGHTS, meta=dict(dataset_meta='x')), 'its meta, or dataset_meta'),
    ],
)
def test_parts_of_another_kind(tmp_path, content, what):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=rf'a\.pth is damaged: {what}'):
        load(str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('content', [WEIGHTS, dict(state_dict=WEIGHTS, meta=None), [1], 'text'])
def test_what_has_no_such_parts_is_handed_out(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    assert load(str(tmp_path / 'a.pth')) == content
