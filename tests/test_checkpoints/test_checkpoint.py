import functools
import http.server
import pickle
import threading
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import MultiStepLR, OneCycleLR
from mmengine.runner import CheckpointLoader

from mmpretrain_mldecoder.checkpoints import load_weights_only


def test_reads_what_mmengine_writes(tmp_path):
    path = tmp_path / 'host.pth'
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])
    saved = dict(
        state_dict=dict(weight=torch.arange(3.0)),
        optimizer=optimizer.state_dict(),
        param_schedulers=[MultiStepLR(optimizer, milestones=[1, 2]).state_dict()],
        loss=HistoryBuffer([1.0, 3.0], [1, 1]),
        best=np.float64(0.5),
        flags=np.array([True, False]),
        names=np.array(['a', 'bc']),
        half=np.float16([1.5]),
    )
    torch.save(saved, path)
    loaded = load_weights_only(path)
    assert loaded['loss'].mean() == 2.0 and loaded['loss'].max_length == 1_000_000
    assert loaded['best'] == 0.5 and loaded['half'].dtype == np.float16
    assert loaded['names'].tolist() == ['a', 'bc'] and loaded['flags'].tolist() == [True, False]
    torch.testing.assert_close(loaded['state_dict'], saved['state_dict'], rtol=0, atol=0)


@pytest.mark.parametrize(('written', 'other'), [('numpy._core', 'numpy.core')])
def test_reads_numpy_of_either_major_version(tmp_path, written, other):
    path, renamed = tmp_path / 'a.pth', tmp_path / 'b.pth'
    torch.save(dict(values=np.arange(3), best=np.float32(2)), path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(renamed, 'w') as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith('data.pkl'):
                assert written.encode() in content
                content = content.replace(written.encode(), other.encode())
            target.writestr(name, content)
    for file in (path, renamed):
        loaded = load_weights_only(file)
        assert loaded['values'].tolist() == [0, 1, 2] and loaded['best'] == 2


def test_reads_the_format_of_old_torch(tmp_path):
    path = tmp_path / 'old.pth'
    saved = dict(weight=torch.ones(2), loss=HistoryBuffer([1.0], [1]))
    torch.save(saved, path, _use_new_zipfile_serialization=False)
    assert load_weights_only(path)['weight'].tolist() == [1, 1]


class _Call:
    """Pickles as a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize(
    ('content', 'name'),
    [
        (_Call(exec, 'raise SystemExit'), 'exec'),
        (_Call(getattr, HistoryBuffer, 'update'), 'getattr.*update'),
        (_Call(getattr, np.ndarray, 'tofile'), 'getattr.*tofile'),
    ],
)
def test_refuses_calls_and_names_them(tmp_path, content, name, new_format):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, more=content), path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(ValueError, match=f'evil.pth holds .*{name}.*not loaded.*state_dict'):
        load_weights_only(path)
    assert HistoryBuffer not in torch.serialization.get_safe_globals()


def test_refuses_arrays_of_objects(tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save(np.array([dict(a=1)], object), path)
    with pytest.raises(ValueError, match=r'evil.pth is .*not allowed: .*ObjectDType'):
        load_weights_only(path)


def test_refuses_the_host_s_one_cycle_and_says_what_to_use(tmp_path):
    path = tmp_path / 'run.pth'
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
    torch.save(OneCycleLR(optimizer, eta_max=0.1, total_steps=10).state_dict(), path)
    with pytest.raises(ValueError, match=r'run.pth holds .*OneCycle.*PlainOneCycleLR'):
        load_weights_only(path)


def _torch_bytes(tmp_path, **options) -> bytes:
    torch.save(dict(weight=torch.zeros(99)), tmp_path / 'whole', **options)
    return (tmp_path / 'whole').read_bytes()


def test_says_what_is_wrong_with_a_file(tmp_path):
    whole = _torch_bytes(tmp_path)
    locator = whole.rindex(b'PK\x06\x07')  # ends with the number of disks
    several_disks = whole[: locator + 16] + b'\2\0\0\0' + whole[locator + 20 :]
    legacy = _torch_bytes(tmp_path, _use_new_zipfile_serialization=False)
    for content, message in {
        b'': 'is empty',
        b'<!DOCTYPE html><html>403': 'is a web page',
        b'version https://git-lfs.github.com/spec/v1': 'is not a checkpoint',
        whole[: len(whole) // 2]: 'is truncated',
        several_disks: 'is truncated',
        legacy[:-9]: 'damaged',
        legacy[:30]: 'damaged',
        pickle.dumps(dict(a=1), protocol=4): 'damaged',
    }.items():
        path = tmp_path / 'file.pth'
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f'file.pth .*{message}') as caught:
            load_weights_only(path)
        assert 'weights_only' not in str(caught.value)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a.txt', 'not by torch')
    with pytest.raises(ValueError, match=r'file.pth cannot be read'):
        load_weights_only(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*absent.pth'):
        load_weights_only(tmp_path / 'absent.pth')
    with pytest.raises(FileNotFoundError, match='a folder'):
        load_weights_only(tmp_path)


def test_mmengine_reads_local_files_through_it(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(loss=HistoryBuffer([1.0], [1])), path)
    assert CheckpointLoader.load_checkpoint(str(path))['loss'].current() == 1.0
    torch.save(_Call(exec, 'raise SystemExit'), path)
    with pytest.raises(ValueError, match=r'holds builtins.exec'):
        CheckpointLoader.load_checkpoint(str(path))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server of the folder ``web``, and an empty download folder; yields the address."""
    (tmp_path / 'web').mkdir()
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=str(tmp_path / 'web'))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()
        thread.join()


def test_downloads_once(tmp_path, server):
    torch.save(dict(weight=torch.ones(2)), tmp_path / 'web' / 'a.pth')
    address = f'{server}/a.pth?version=1'
    assert CheckpointLoader.load_checkpoint(address)['weight'].tolist() == [1, 1]
    (tmp_path / 'web' / 'a.pth').unlink()
    assert CheckpointLoader.load_checkpoint(address)['weight'].tolist() == [1, 1]
    kept = [path.name for path in (tmp_path / 'home' / 'hub' / 'checkpoints').iterdir()]
    assert kept == ['a.pth']


def test_download_is_read_weights_only(tmp_path, server):
    torch.save(_Call(exec, 'raise SystemExit'), tmp_path / 'web' / 'evil.pth')
    with pytest.raises(ValueError, match=r'holds builtins.exec'):
        CheckpointLoader.load_checkpoint(f'{server}/evil.pth')


def test_failed_download_says_where_to_put_the_file(server):
    with pytest.raises(ConnectionError, match=r'absent.pth cannot be downloaded: .*404.*put it at'):
        CheckpointLoader.load_checkpoint(f'{server}/absent.pth')
