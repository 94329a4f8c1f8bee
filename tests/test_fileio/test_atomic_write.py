import os
import signal
import subprocess
import sys

import pytest

from mmpretrain_mldecoder.fileio import atomic_write as module
from mmpretrain_mldecoder.fileio.atomic_write import atomic_write, remove_stale_files


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


def test_writers_of_one_name_do_not_meet(tmp_path):
    # As in two containers, where the process ids are the same.
    out = tmp_path / 'a.txt'
    with atomic_write(out) as one, atomic_write(out) as other:
        one.write_text('one')
        other.write_text('other')
    assert one != other
    assert out.read_text() == 'one'


def test_longest_name_of_the_file_system(tmp_path):
    out = tmp_path / ('ä' * 125 + '.txt')  # 254 bytes of 255
    with atomic_write(out) as path:
        path.write_text('whole')
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo], ids=['folder', 'pipe'])
def test_only_a_regular_file_is_replaced_and_this_is_told_at_once(tmp_path, make):
    out = tmp_path / 'a.txt'
    make(out)
    with pytest.raises(FileExistsError, match='not a regular file'), atomic_write(out):
        pytest.fail('the work begins')
    assert list(tmp_path.iterdir()) == [out] and not out.is_file()


@pytest.mark.parametrize('sync', [True, False])
def test_bytes_are_synced_before_the_rename_and_the_name_after_it(tmp_path, monkeypatch, sync):
    out, events = tmp_path / 'a.txt', []

    def fsync(descriptor):
        synced = os.readlink(f'/proc/self/fd/{descriptor}')
        events.append((os.path.basename(synced), out.exists()))

    monkeypatch.setattr(os, 'fsync', fsync)
    with atomic_write(out, sync=sync) as path:
        path.write_text('whole')
    assert events == ([(path.name, False), (tmp_path.name, True)] if sync else [])


_WRITER = """
import runpy, sys
atomic_write = runpy.run_path(sys.argv[1])['atomic_write']  # without the package, in no time
with atomic_write(sys.argv[2]) as path:
    path.write_text('half')
    print(path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing, and its temporary file."""
    process = subprocess.Popen(
        [sys.executable, '-c', _WRITER, module.__file__, tmp_path / 'a.txt'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process, tmp_path / process.stdout.readline().strip()
    process.kill()
    process.communicate(timeout=30)


def test_file_of_a_killed_writer_is_removed_and_no_other(tmp_path, writer):
    process, temporary = writer
    others = [tmp_path / name for name in ('.a.txt.tmp', 'a.0123456789abcdef.tmp', 'b.txt')]
    for path in others:
        path.touch()
    assert remove_stale_files(tmp_path) == []  # it is alive
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert temporary.exists() and not (tmp_path / 'a.txt').exists()
    assert remove_stale_files(tmp_path) == [temporary]
    assert sorted(tmp_path.iterdir()) == sorted(others)
    assert remove_stale_files(tmp_path / 'absent') == []


def test_nothing_is_removed_where_there_are_no_locks(tmp_path, writer, monkeypatch):
    process, temporary = writer
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)

    def refuse(*args):
        raise OSError('no locks available')

    monkeypatch.setattr(module.fcntl, 'flock', refuse)
    assert remove_stale_files(tmp_path) == []
    with atomic_write(tmp_path / 'b.txt') as path:  # writing goes on without
        path.write_text('whole')
    assert (tmp_path / 'b.txt').read_text() == 'whole'
    assert temporary.exists()
