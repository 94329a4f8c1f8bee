import sys
import tempfile
from multiprocessing.connection import Listener
from pathlib import Path

import pytest
from tiny_run import build_runner, write_tiny_config

from mmpretrain_mldecoder.engine.runners.workers import check_worker_sockets
from mmpretrain_mldecoder.errors import ConfigError


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
@pytest.mark.parametrize('length', [60, 75, 76, 120])
def test_refused_are_folders_below_which_no_socket_can_be_made(folder_of_length, length):
    folder = Path(tempfile.mkdtemp(prefix='pymp-', dir=folder_of_length(length)))
    try:
        Listener(tempfile.mktemp(prefix='listener-', dir=folder), 'AF_UNIX').close()
    except OSError as error:
        assert 'too long' in str(error)
        with pytest.raises(ConfigError, match=f'of {length} bytes.*at most 75.* Set TMPDIR'):
            check_worker_sockets()
    else:
        check_worker_sockets()


def test_runner_refuses_only_with_workers(folder_of_length, tmp_path):
    runner = build_runner(write_tiny_config(tmp_path), tmp_path / 'run')
    folder_of_length(100)
    config = runner.cfg.train_dataloader
    config.num_workers = 0
    runner.build_dataloader(config)
    config.num_workers = 2
    with pytest.raises(ConfigError, match='data loader workers'):
        runner.build_dataloader(config)
