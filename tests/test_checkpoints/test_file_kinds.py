import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmpretrain_mldecoder.checkpoints import load_weights_only


def archive(**parts) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        for name, content in parts.items():
            file.writestr(name.replace('__', '/').replace('_DOT_', '.'), content)
    return buffer.getvalue()


def saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def scripted() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1)), buffer)
    return buffer.getvalue()


def exported() -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(1, 1), (torch.ones(1),)), buffer)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as file:
        file.addfile(tarfile.TarInfo('a.pth'))
    return buffer.getvalue()


def numpy_archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(1))
    return buffer.getvalue()


INDEX = json.dumps(dict(metadata=dict(total_size=1), weight_map={'a': 'model-1.safetensors'}))
KINDS = {
    'script.pt': (scripted, r'TorchScript\. .*torch\.jit\.load\(path\)\.state_dict\(\)'),
    'program.pt2': (exported, r'torch\.export\. .*torch\.export\.load\(path\)\.state_dict'),
    'packed.pth': (lambda: gzip.compress(saved({})), r'packed by gzip\. Unpack'),
    'packed.tar': (tarred, r'packed by tar\. Unpack'),
    'arrays.npz': (numpy_archive, r'NumPy arrays\. .*state_dict'),
    'zip.pth': (lambda: archive(run__best_DOT_pth='x'), r'zip archive around run/best\.pth'),
    'model.keras': (lambda: archive(config_DOT_json='{}'), r'model of Keras'),
    'lfs.pth': (lambda: b'version https://git-lfs.github.com/spec/v1\n', r'git lfs pull'),
    'model.safetensors.index.json': (INDEX.encode, r'index of a checkpoint in several files'),
    'preds.json': (lambda: b'[{"a": 1}]', r'JSON text'),
    'weights.h5': (lambda: b'\x89HDF\r\n\x1a\n' + bytes(99), r'HDF5'),
    'model.onnx': (lambda: b'\x08\x0a\x12\x07pytorch', r'an ONNX graph'),
    'model.pdmodel': (lambda: b'\x0a\x05abc', r'inference model of PaddlePaddle.*\.pdparams'),
    'model.pdiparams': (lambda: bytes(99), r'inference model of PaddlePaddle.*\.pdparams'),
    'model.pdopt': (lambda: b'\x80\x04}.', r"PaddlePaddle's optimizer.*\.pdparams"),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', KINDS)
def test_what_only_looks_like_weights(tmp_path, name):
    make, what = KINDS[name]
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(ValueError, match=rf'{name} is .*{what}'):
        CheckpointLoader.load_checkpoint(str(path))


def test_a_whole_module_is_not_unpickled(tmp_path):
    path = tmp_path / 'module.pth'
    torch.save(torch.nn.Sequential(torch.nn.Linear(1, 1)), path)
    with pytest.raises(ValueError, match=r'holds .*whole module.*\.state_dict\(\)'):
        CheckpointLoader.load_checkpoint(str(path))


@pytest.mark.parametrize(
    ('files', 'what'),
    [
        ((), 'without weights in it'),
        (('epoch_1.pth', 'a.log'), r'a folder.*Name a file in it: epoch_1\.pth'),
        (('.metadata', '__0_0.distcp'), 'dcp_to_torch'),
        (('zero_to_fp32.py', 'latest'), r'DeepSpeed.*zero_to_fp32\.py'),
    ],
)
def test_folders(tmp_path, files, what):
    for name in files:
        (tmp_path / name).touch()
    for load in (load_weights_only, CheckpointLoader.load_checkpoint):
        with pytest.raises(FileNotFoundError, match=what):
            load(str(tmp_path))
