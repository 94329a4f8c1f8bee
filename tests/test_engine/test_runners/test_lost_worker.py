import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from mmpretrain_mldecoder.engine.runners.workers import explained_worker_loss
from mmpretrain_mldecoder.errors import RunError


class Killed(Dataset):
    """Its worker is killed at the third sample, as the system does when memory runs out."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_killed_worker():
    loader = DataLoader(Killed(), num_workers=1)
    told = r'is gone \(DataLoader worker .*memory ran out.*test_dataloader.num_workers is 1'
    with (
        pytest.raises(RunError, match=told),
        explained_worker_loss('test_dataloader', loader),
    ):
        list(loader)


@pytest.mark.parametrize('loader', [dict(num_workers=3), dict(), None])
def test_what_is_known_of_the_loader(loader):
    message = 'DataLoader worker (pid 7) is killed by signal: Killed. '
    number = (loader or {}).get('num_workers')
    with (
        pytest.raises(RunError, match=f'num_workers is {number}'),
        explained_worker_loss('val_dataloader', loader),
    ):
        raise RuntimeError(message)


class Breaks:
    """Cannot be read from the worker that sends it."""

    def __reduce__(self):
        return _reset, ()


def _reset(*_):
    raise ConnectionResetError(104, 'Connection reset by peer')


def test_pipe_that_breaks_before_torch_knows_why():
    loader = DataLoader([1, 2], collate_fn=lambda _: Breaks(), num_workers=1)
    with (
        pytest.raises(RunError, match='Connection reset by peer'),
        explained_worker_loss('train_dataloader', loader),
    ):
        list(loader)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_error_of_the_dataset_passes(num_workers):
    loader = DataLoader([1, 2], collate_fn=_reset, num_workers=num_workers)
    with (
        pytest.raises(ConnectionResetError, match='Connection reset'),
        explained_worker_loss('train_dataloader', loader),
    ):
        list(loader)


def test_other_errors_pass():
    with (
        pytest.raises(RuntimeError, match=r'^shapes differ$') as caught,
        explained_worker_loss('train_dataloader', None),
    ):
        raise RuntimeError('shapes differ')
    assert not isinstance(caught.value, RunError)
