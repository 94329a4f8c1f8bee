import mmap
import os

import pytest

from mmpretrain_mldecoder.fileio import files
from mmpretrain_mldecoder.fileio.files import read_head, read_whole_file


def test_first_bytes(tmp_path):
    (tmp_path / 'file').write_bytes(b' x' * 300)
    assert read_head(tmp_path / 'file', 'weights') == b' x' * 256


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


@pytest.mark.parametrize('large_bytes', [0, 100_000, 10**9])
@pytest.mark.parametrize('system', ['linux', 'without huge pages', 'other'])
def test_equals_read_bytes(tmp_path, monkeypatch, large_bytes, system):
    monkeypatch.setattr(files, '_LARGE_BYTES', large_bytes)
    if system == 'without huge pages':
        monkeypatch.setattr(files.mmap, 'MADV_HUGEPAGE', 10**6)  # the kernel refuses it
    elif system == 'other':
        monkeypatch.delattr(files.mmap, 'MADV_HUGEPAGE')
    path = tmp_path / 'file'
    content = os.urandom(300_001)
    path.write_bytes(content)
    assert bytes(read_whole_file(path)) == content


@pytest.mark.skipif(not hasattr(mmap, 'MADV_HUGEPAGE'), reason='only where huge pages are')
def test_a_file_that_shrinks_meanwhile_ends_earlier(tmp_path, monkeypatch):
    monkeypatch.setattr(files, '_LARGE_BYTES', 0)
    path = tmp_path / 'file'
    path.write_bytes(b'x' * 200_000)
    real_mmap = mmap.mmap

    def shorten(*args, **kwargs):
        os.truncate(path, 150_000)
        return real_mmap(*args, **kwargs)

    monkeypatch.setattr(files.mmap, 'mmap', shorten)
    assert bytes(read_whole_file(path)) == b'x' * 150_000
