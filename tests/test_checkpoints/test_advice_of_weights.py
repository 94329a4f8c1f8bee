"""What the errors about files of weights say to do, done as they say."""

import json
import pickle
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader
from published_names import paddleclas_fc, paddleclas_resnet, random_arrays
from torch import distributed, nn
from torch.distributed import checkpoint as in_parts
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard


class Network(nn.Module):
    """A network of no known family."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(3, 2), nn.BatchNorm1d(2)

    def forward(self, inputs):
        return self.norm(self.first(inputs))


NETWORK = Network().eval()
STATE = NETWORK.state_dict()


def load(path) -> dict:
    loaded = CheckpointLoader.load_checkpoint(str(path), logger='silent')
    return loaded.get('state_dict', loaded)


def advice(path) -> str:
    """What is said about a file that cannot be loaded."""
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load(path)
    return str(error.value)


def assert_loads(path, state=STATE):
    loaded = load(path)
    assert loaded.keys() >= {name for name in state if 'num_batches' not in name}
    assert all(torch.equal(value, state[name]) for name, value in loaded.items())


def run(code: str, folder: Path, **names) -> None:
    """Run what a message says, in a program that has these names."""
    exec(
        code.replace("'weights.pth'", 'target').replace('"weights.pth"', 'target'),
        names | dict(torch=torch, target=folder / 'weights.pth'),
    )


SAVE = r'(torch\.save\(.*?\.pth["\']\))'
NOT_WEIGHTS = {
    'script.pt': (
        'TorchScript',
        lambda path: torch.jit.save(torch.jit.trace(NETWORK, torch.ones(1, 3)), path),
    ),
    'program.pt2': (
        'a program of torch.export',
        lambda path: torch.export.save(torch.export.export(NETWORK, (torch.ones(1, 3),)), path),
    ),
    'module.pth': ('a whole module', lambda path: torch.save(NETWORK, path)),
    'log.pth': ('holds no weights by name, but epoch', lambda path: torch.save({'epoch': 3}, path)),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', NOT_WEIGHTS)
def test_state_dicts_are_saved_as_said(tmp_path, name):
    kind, make = NOT_WEIGHTS[name]
    make(tmp_path / name)
    said = advice(tmp_path / name)
    assert kind in said
    run(re.search(SAVE, said)[1], tmp_path, model=NETWORK, path=tmp_path / name)
    assert_loads(tmp_path / 'weights.pth')


@pytest.mark.parametrize(
    ('kind', 'said'),
    [
        ('zip', 'around inner.pth.*Unpack it, and name the file of weights inside'),
        ('tar', 'by tar.*Unpack it, and name the file of weights inside'),
        ('gztar', 'with gzip.*Unpack it with gunzip'),
    ],
)
def test_packed_files_are_unpacked(tmp_path, kind, said):
    (tmp_path / 'run').mkdir()
    torch.save(STATE, tmp_path / 'run/inner.pth')
    packed = shutil.make_archive(tmp_path / 'packed', kind, tmp_path / 'run')
    assert re.search(said, advice(packed))
    shutil.unpack_archive(packed, tmp_path / 'inside')
    assert_loads(tmp_path / 'inside/inner.pth')


@pytest.mark.parametrize('name', ['model.pdmodel', 'model.pdiparams', 'model.pdopt'])
def test_the_pdparams_beside_it(tmp_path, name):
    (tmp_path / name).write_bytes(b'\x80\x04}.' if name == 'model.pdopt' else bytes(99))
    assert 'Name the .pdparams beside it' in advice(tmp_path / name)
    arrays = random_arrays(paddleclas_resnet(18, True, 4) | paddleclas_fc(32, 3))
    (tmp_path / 'model.pdparams').write_bytes(pickle.dumps(arrays))
    assert len(load(tmp_path / 'model.pdparams')) == len(arrays)


def test_paddle_weights_of_an_unknown_network(tmp_path):
    arrays = {name: value.numpy() for name, value in STATE.items() if 'num_batches' not in name}
    paddle = {
        name.replace('running_mean', '_mean').replace('running_var', '_variance'): value.T.copy()
        for name, value in arrays.items()
    }
    (tmp_path / 'w.pdparams').write_bytes(pickle.dumps(paddle, protocol=4))
    said = advice(tmp_path / 'w.pdparams')
    run(re.search(r"(import torch; .*'weights\.pth'\))\. Embeddings", said)[1], tmp_path)
    assert_loads(tmp_path / 'weights.pth')


def test_parts_of_a_folder(tmp_path, monkeypatch):
    """Of a safetensors index, of torch.distributed, and of a run."""
    safetensors = pytest.importorskip('safetensors.torch')
    index = tmp_path / 'model.safetensors.index.json'
    index.write_text(json.dumps(dict(weight_map={'first.weight': 'model-1.safetensors'})))
    code = re.search(r'(safetensors\.torch\.save_file\(.*?\))\.$', advice(index))[1]
    code = code.replace('safetensors.torch.', '').replace('.pth', '.safetensors')
    exec(
        code,
        dict(
            save_file=lambda state, name: safetensors.save_file(state, tmp_path / name),
            model=NETWORK,
        ),
    )
    assert_loads(tmp_path / 'weights.safetensors')
    folder = tmp_path / 'parts'
    in_parts.save(dict(STATE), checkpoint_id=folder, no_dist=True)
    command = re.search(r'Join them: python (.*)', advice(folder))[1]
    command = command.replace('FOLDER', str(folder)).replace('weights.pth', str(folder / 'w.pth'))
    option, module, *arguments = command.split()
    assert option == '-m'
    monkeypatch.setattr(sys, 'argv', [module, *arguments])
    runpy.run_module(module, run_name='__main__')
    assert_loads(folder / 'w.pth')
    (folder / '.metadata').unlink()
    for path in folder.glob('*.distcp'):
        path.unlink()
    assert 'Name a file in it: w.pth' in advice(folder)
    assert 'near: w.pth' in advice(folder / 'W.pth')


@pytest.fixture
def one_process(tmp_path):
    distributed.init_process_group('gloo', f'file://{tmp_path}/group', rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', ['flat', 'flat parameter', 'sharded'])
def test_weights_in_parts(tmp_path, one_process, kind):
    """Of FSDP 1 and 2."""
    model, path = Network(), tmp_path / 'part.pth'
    model.load_state_dict(STATE)
    if kind == 'sharded':
        fully_shard(model, mesh=init_device_mesh('cpu', (1,)))
        torch.save(model.state_dict(), path)
    else:
        model = FullyShardedDataParallel(model, device_id=torch.device('cpu'))
        is_plain = kind == 'flat'  # or with its class, which would run code
        parts = {n: p.detach().clone() if is_plain else p for n, p in model.named_parameters()}
        torch.save(parts, path)
    said = advice(path)
    assert 'parts that torch.distributed' in said
    run(re.search(r'(from torch\.distributed.*pth"\))', said)[1], tmp_path, model=model)
    assert_loads(tmp_path / 'weights.pth')


def test_sets_of_weights(tmp_path):
    other = {name: value + 1 for name, value in STATE.items()}
    path = tmp_path / 'w.pth'
    torch.save(dict(generator=STATE, discriminator=other), path)
    said = advice(path)
    assert_loads(re.search(r'Name one: (\S+#\S+)', said)[1])
    assert_loads(f'{path}#discriminator', other)
    torch.save(dict(model=STATE), path)
    name = re.search('its sets of weights are (.*?), ', advice(f'{path}#modl'))[1]
    assert_loads(f'{path}#{name}')


@pytest.mark.parametrize('is_made', [True, False])
def test_a_folder_of_weights_that_is_not_there(tmp_path, monkeypatch, is_made):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path / 'own'))
    assert 'make it, or unset the variable' in advice('paddleclas://ResNet18_vd')
    folder = tmp_path / ('own' if is_made else 'hub/checkpoints')
    folder.mkdir(parents=True)
    if not is_made:
        monkeypatch.setenv('MLDECODER_WEIGHTS', '')  # the same as unset
    arrays = random_arrays(paddleclas_resnet(18, True, 4) | paddleclas_fc(32, 3))
    (folder / 'ResNet18_vd_pretrained.pdparams').write_bytes(pickle.dumps(arrays))
    assert len(load('paddleclas://ResNet18_vd')) == len(arrays)
