import zipfile

import pytest
from mmengine.runner import CheckpointLoader

from mmpretrain_mldecoder.checkpoints import load_weights_only

KINDS = {
    'lfs.pth': (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
    'preds.json': (b'[{"a": 1}]', 'JSON text'),
    'weights.h5': (b'\x89HDF\r\n\x1a\n' + bytes(99), 'HDF5'),
    'model.onnx': (b'\x08\x0a\x12\x07pytorch', 'an ONNX graph'),
    'model.keras': (None, 'model of Keras'),
}


@pytest.mark.parametrize('name', KINDS)
def test_what_only_looks_like_weights(tmp_path, name):
    content, what = KINDS[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, 'w') as file:
            file.writestr('config.json', '{}')
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
