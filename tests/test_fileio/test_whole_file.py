import mmap
import os
import threading

import pytest

from mmpretrain_mldecoder.datasets import read_coco_annotations
from mmpretrain_mldecoder.fileio import files as whole_file
from mmpretrain_mldecoder.fileio.files import read_whole_file


@pytest.mark.parametrize('large_bytes', [0, 100_000, 10**9])
@pytest.mark.parametrize('system', ['linux', 'without huge pages', 'other'])
def test_equals_read_bytes(tmp_path, monkeypatch, large_bytes, system):
    monkeypatch.setattr(whole_file, '_LARGE_BYTES', large_bytes)
    if system == 'without huge pages':
        monkeypatch.setattr(whole_file.mmap, 'MADV_HUGEPAGE', 10**6)  # the kernel refuses it
    elif system == 'other':
        monkeypatch.delattr(whole_file.mmap, 'MADV_HUGEPAGE')
    path = tmp_path / 'file'
    content = os.urandom(300_001)
    path.write_bytes(content)
    assert bytes(read_whole_file(path)) == content


@pytest.mark.skipif(not hasattr(mmap, 'MADV_HUGEPAGE'), reason='only where huge pages are')
def test_a_file_that_shrinks_meanwhile_ends_earlier(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_file, '_LARGE_BYTES', 0)
    path = tmp_path / 'file'
    path.write_bytes(b'x' * 200_000)
    real_mmap = mmap.mmap

    def shorten(*args, **kwargs):
        os.truncate(path, 150_000)
        return real_mmap(*args, **kwargs)

    monkeypatch.setattr(whole_file.mmap, 'mmap', shorten)
    assert bytes(read_whole_file(path)) == b'x' * 150_000


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='needs pipes')
def test_a_pipe(tmp_path):
    path = tmp_path / 'pipe'
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b'x' * 200_000,))
    writer.start()
    assert read_whole_file(path) == b'x' * 200_000
    writer.join()


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_annotations_of_a_large_file(fake_coco, monkeypatch, encoding):
    path = fake_coco / 'annotations' / 'instances_train2017.json'
    expected = read_coco_annotations(path)
    path.write_text('\n' * 5000 + path.read_text(), encoding=encoding)
    monkeypatch.setattr(whole_file, '_LARGE_BYTES', 0)
    ours = read_coco_annotations(path)
    assert list(ours.file_names) == list(expected.file_names)
    assert ours.annotation_areas.tolist() == expected.annotation_areas.tolist()
    path.write_text(path.read_text(encoding=encoding).replace('"area"', '"no area"'), encoding)
    assert read_coco_annotations(path).annotation_areas.tolist() == ours.annotation_areas.tolist()
    path.write_text(' \n' * 5000, encoding=encoding)
    with pytest.raises(ValueError, match=r'train2017\.json is empty: copy'):
        read_coco_annotations(path)
