import os
import signal
import sys
import tempfile
from multiprocessing.connection import Listener
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from mmpretrain_mldecoder.engine.runners.loading import check_worker_sockets, explained_loading
from mmpretrain_mldecoder.engine.runners.portable import portable_loader
from mmpretrain_mldecoder.errors import (
    ConfigError,
    RunError,
    TooManyUnreadableError,
    UnreadableImageError,
)


class Killed(Dataset):
    """Its worker is killed at the third sample, as the system does when memory runs out."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


class Breaks:
    """Cannot be read from the worker that sends it."""

    def __reduce__(self):
        return _reset, ()


def _reset(*_):
    raise ConnectionResetError(104, 'Connection reset by peer')


def read(loader):
    batches = iter(loader)
    try:
        list(batches)
    finally:
        if loader.num_workers:  # else the garbage collector does, and waits for 5 s
            batches._shutdown_workers()


def test_killed_worker():
    loader = DataLoader(Killed(), num_workers=1)
    message = r'is gone \(DataLoader worker .*memory ran out.*test_dataloader.num_workers is 1'
    with pytest.raises(RunError, match=message), explained_loading('test_dataloader', loader):
        list(loader)


@pytest.mark.parametrize('loader', [dict(num_workers=3), dict(), None])
def test_number_of_workers_in_a_config(loader):
    number = (loader or {}).get('num_workers')
    message = f'val_dataloader.num_workers is {number}'
    with pytest.raises(RunError, match=message), explained_loading('val_dataloader', loader):
        raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. ')


def test_pipe_that_breaks_before_torch_knows_why():
    loader = DataLoader([1, 2], collate_fn=lambda _: Breaks(), num_workers=1)
    message = 'Connection reset by peer'
    with pytest.raises(RunError, match=message), explained_loading('train_dataloader', loader):
        read(loader)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_other_errors_are_raised(num_workers):
    loader = DataLoader([1, 2], collate_fn=_reset, num_workers=num_workers)
    with (
        pytest.raises(ConnectionResetError, match='Connection reset'),
        explained_loading('train_dataloader', loader),
    ):
        read(loader)


@pytest.mark.parametrize(
    ('error', 'fix'),
    [
        (UnreadableImageError('a.jpg', 'it is empty'), 'cannot read image a.jpg: it is empty. .*'),
        (TooManyUnreadableError('TooManyUnreadableError: 2 images'), '2 images. .*max_unreadable'),
    ],
)
def test_unreadable_images(error, fix):
    with (
        pytest.raises(RunError, match=f'{fix}.*browse.py finds all'),
        explained_loading('train_dataloader', None),
    ):
        raise error


@pytest.fixture
def folder_of_length(monkeypatch):
    with tempfile.TemporaryDirectory(dir='/tmp') as top:

        def make(length: int) -> Path:
            folder = Path(top, 'x' * (length - len(top) - 1))
            folder.mkdir()
            monkeypatch.setattr(tempfile, 'tempdir', str(folder))
            return folder

        yield make


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems have other lengths')
@pytest.mark.parametrize('length', [75, 76])
def test_refused_are_folders_in_which_no_socket_can_be_made(folder_of_length, length):
    folder = Path(tempfile.mkdtemp(prefix='pymp-', dir=folder_of_length(length)))
    try:
        Listener(tempfile.mktemp(prefix='listener-', dir=folder), 'AF_UNIX').close()
    except OSError as error:
        assert 'too long' in str(error) and length == 76
        with pytest.raises(ConfigError, match=f'of {length} bytes.*at most 75.* Set TMPDIR'):
            check_worker_sockets()
    else:
        check_worker_sockets()


def test_long_folder_is_refused_with_workers_only(folder_of_length):
    folder_of_length(100)
    assert portable_loader(dict(num_workers=0))['persistent_workers'] is False
    with pytest.raises(ConfigError, match='data loader workers'):
        portable_loader(dict(num_workers=2))
