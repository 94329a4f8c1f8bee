import pytest

from mmpretrain_mldecoder.fileio.files import read_head


def test_first_bytes(tmp_path):
    (tmp_path / 'file').write_bytes(b' x' * 200)
    assert read_head(tmp_path / 'file', 'weights') == b' x' * 128


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b' \n', 'is empty'),
        (b'\n<HTML><body>403', 'is a web page, not weights'),
        (b'<?xml version="1.0"?><Error/>', 'is a web page'),
    ],
)
def test_refused(tmp_path, content, message):
    (tmp_path / 'file').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_head(tmp_path / 'file', 'weights')


def test_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*none$'):
        read_head(tmp_path / 'none', 'checkpoint')
    with pytest.raises(FileNotFoundError, match=r'\(a folder\)'):
        read_head(tmp_path, 'checkpoint')
