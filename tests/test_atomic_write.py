import pytest

from mmpretrain_mldecoder.atomic_write import atomic_write


def test_whole_file_appears_at_the_end(tmp_path):
    out = tmp_path / 'new' / 'folder' / 'a.txt'
    with atomic_write(out) as path:
        path.write_text('whole')
        assert not out.exists()
        assert path.parent == out.parent
    assert out.read_text() == 'whole'
    assert list(out.parent.iterdir()) == [out]


def test_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    out = tmp_path / 'a.txt'
    out.write_text('old')
    with pytest.raises(OSError, match='disk full'), atomic_write(out) as path:
        path.write_text('ha')
        raise OSError('disk full')
    assert out.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [out]
