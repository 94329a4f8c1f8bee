import io
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmengine.runner import CheckpointLoader

ADDRESSES = ['s3://bucket/{}', 'main:s3://bucket/{}', 'petrel://bucket/{}', 'pavi://{}']


def saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture
def stores(monkeypatch):
    """The clients of the stores, which answer by the last part of an address."""
    files = dict(good=saved(dict(weight=torch.ones(2))), evil=saved(dict(call=print)))

    class Client:
        def __init__(self, *args, **kwargs):
            pass

        def Get(self, address):
            return files[address.rpartition('/')[2]]

    def get(name):
        def download(path):
            Path(path).write_bytes(files[name])

        return SimpleNamespace(name='../../elsewhere.pth', download=download)

    petrel, pavi = ModuleType('petrel_client'), ModuleType('pavi')
    petrel.client, pavi.modelcloud = SimpleNamespace(Client=Client), SimpleNamespace(get=get)
    monkeypatch.setitem(sys.modules, 'petrel_client', petrel)
    monkeypatch.setitem(sys.modules, 'petrel_client.client', petrel.client)
    monkeypatch.setitem(sys.modules, 'pavi', pavi)


@pytest.mark.parametrize('address', ADDRESSES)
def test_address_is_read_weights_only(stores, address):
    loaded = CheckpointLoader.load_checkpoint(address.format('good'))
    assert loaded['weight'].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r'holds builtins.print, which could run code'):
        CheckpointLoader.load_checkpoint(address.format('evil'))


def test_missing_client_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pavi', None)
    with pytest.raises(ImportError, match=r'pavi://some needs the pavi package'):
        CheckpointLoader.load_checkpoint('pavi://some')


def test_no_loader_of_a_checkpoint_is_left_to_the_host():
    # Private, as MMEngine has no list of its loaders; whatever a new version adds is seen here.
    for prefix, loader in CheckpointLoader._schemes.items():
        assert loader.__module__.startswith('mmpretrain_mldecoder.'), prefix
