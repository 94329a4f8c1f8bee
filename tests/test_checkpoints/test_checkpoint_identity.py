import hashlib

from mmpretrain_mldecoder.checkpoints.published import checkpoint_identity


def test_a_file(tmp_path):
    path = tmp_path / 'best.pth'
    path.write_bytes(b'weights' * 300_000)  # more than is read at once
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint_identity(path) == dict(checkpoint='best.pth', sha256=digest)


def test_a_published_name(tmp_path, monkeypatch):
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path))
    (tmp_path / 'ResNet50_vd_pretrained.pdparams').write_bytes(b'weights')
    assert checkpoint_identity('paddleclas://ResNet50_vd') == dict(
        checkpoint='paddleclas://ResNet50_vd', sha256=hashlib.sha256(b'weights').hexdigest()
    )


def test_another_address():
    address = 'https://example.com/best.pth'
    assert checkpoint_identity(address) == dict(checkpoint=address, sha256=None)
