import pytest
from mmengine.runner import CheckpointLoader

from mmpretrain_mldecoder.checkpoints import load_weights_only

KINDS = {
    'lfs.pth': (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
    'preds.json': (b'[{"a": 1}]', 'JSON text'),
    'weights.h5': (b'\x89HDF\r\n\x1a\n' + bytes(99), 'HDF5'),
    'model.onnx': (b'\x08\x0a\x12\x07pytorch', 'an ONNX graph'),
}


@pytest.mark.parametrize('name', KINDS)
def test_what_only_looks_like_weights(tmp_path, name):
    content, what = KINDS[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'{name} is .*{what}'):
        CheckpointLoader.load_checkpoint(str(path))


def test_a_folder_without_weights(tmp_path):
    for load in (load_weights_only, CheckpointLoader.load_checkpoint):
        with pytest.raises(FileNotFoundError, match='without weights in it'):
            load(str(tmp_path))
