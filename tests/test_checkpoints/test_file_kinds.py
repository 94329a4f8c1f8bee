import io
import zipfile

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


KINDS = {
    'model.keras': (lambda: archive(config_DOT_json='{}'), r'model of Keras'),
    'lfs.pth': (lambda: b'version https://git-lfs.github.com/spec/v1\n', r'git lfs pull'),
    'preds.json': (lambda: b'[{"a": 1}]', r'JSON text'),
    'weights.h5': (lambda: b'\x89HDF\r\n\x1a\n' + bytes(99), r'HDF5'),
    'model.onnx': (lambda: b'\x08\x0a\x12\x07pytorch', r'an ONNX graph'),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', KINDS)
def test_what_only_looks_like_weights(tmp_path, name):
    make, what = KINDS[name]
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(ValueError, match=rf'{name} is .*{what}'):
        CheckpointLoader.load_checkpoint(str(path))


@pytest.mark.parametrize(
    ('files', 'what'),
    [
        ((), 'without weights in it'),
        (('zero_to_fp32.py', 'latest'), r'DeepSpeed.*zero_to_fp32\.py'),
    ],
)
def test_folders(tmp_path, files, what):
    for name in files:
        (tmp_path / name).touch()
    for load in (load_weights_only, CheckpointLoader.load_checkpoint):
        with pytest.raises(FileNotFoundError, match=what):
            load(str(tmp_path))
