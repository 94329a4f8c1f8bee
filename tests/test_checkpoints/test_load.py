import argparse
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
from hostile_files import Call
from mmengine.logging import HistoryBuffer
from mmengine.optim import MultiStepLR, OneCycleLR

from mmpretrain_mldecoder.checkpoints import classes_of, load_weights_only, read_weights

# ---- files of torch.save


@pytest.mark.parametrize('is_archive', [True, False])  # since torch 1.6
def test_reads_what_mmengine_writes(tmp_path, is_archive):
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
    torch.save(saved, path, _use_new_zipfile_serialization=is_archive)
    loaded = load_weights_only(path)
    assert loaded['loss'].mean() == 2.0 and loaded['loss'].max_length == 1_000_000
    assert loaded['best'] == 0.5 and loaded['half'].dtype == np.float16
    assert loaded['names'].tolist() == ['a', 'bc'] and loaded['flags'].tolist() == [True, False]
    torch.testing.assert_close(loaded['state_dict'], saved['state_dict'], rtol=0, atol=0)


@pytest.mark.parametrize('is_archive', [True, False])
def test_reads_the_arguments_of_training_scripts(tmp_path, is_archive):
    """timm, torchvision's references and MAE save theirs beside the weights."""
    path = tmp_path / 'last.pth.tar'
    saved = dict(state_dict=dict(weight=torch.ones(2)), args=argparse.Namespace(lr=0.1, out=None))
    torch.save(saved, path, _use_new_zipfile_serialization=is_archive)
    assert load_weights_only(path)['args'] == saved['args']
    saved['args'].out = Call(exec, 'raise SystemExit')
    torch.save(saved, path, _use_new_zipfile_serialization=is_archive)
    with pytest.raises(ValueError, match=r'holds .*exec'):
        load_weights_only(path)


def test_reads_numpy_of_either_major_version(tmp_path):
    path, renamed = tmp_path / 'a.pth', tmp_path / 'b.pth'
    torch.save(dict(values=np.arange(3), best=np.float32(2)), path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(renamed, 'w') as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith('data.pkl'):
                new, old = b'numpy._core', b'numpy.core'
                assert (new in content) != (old in content)
                content = content.replace(new, old) if new in content else content.replace(old, new)
            target.writestr(name, content)
    for file in (path, renamed):
        loaded = load_weights_only(file)
        assert loaded['values'].tolist() == [0, 1, 2] and loaded['best'] == 2


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize(
    ('content', 'name'),
    [
        (Call(exec, 'raise SystemExit'), 'exec'),
        (Call(getattr, HistoryBuffer, 'update'), 'getattr.*update'),
        (Call(getattr, np.ndarray, 'tofile'), 'getattr.*tofile'),
    ],
)
def test_refuses_calls_and_names_them(tmp_path, content, name, new_format):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, more=content), path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(ValueError, match=f"evil.pth holds .*{name}.* save its 'state_dict' alone"):
        load_weights_only(path)
    assert HistoryBuffer not in torch.serialization.get_safe_globals()


def test_refuses_arrays_of_objects(tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save(np.array([dict(a=1)], object), path)
    with pytest.raises(ValueError, match=r'evil.pth is .*not allowed: .*ObjectDType'):
        load_weights_only(path)


def test_refuses_the_host_s_one_cycle_and_names_the_fix(tmp_path):
    path = tmp_path / 'run.pth'
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
    torch.save(OneCycleLR(optimizer, eta_max=0.1, total_steps=10).state_dict(), path)
    with pytest.raises(ValueError, match=r'run.pth holds .*OneCycle.*PlainOneCycleLR'):
        load_weights_only(path)


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_damaged_and_other_files(tmp_path):
    path = tmp_path / 'file.pth'

    def saved(**options) -> bytes:
        torch.save(dict(weight=torch.zeros(99)), path, **options)
        return path.read_bytes()

    archive, legacy = saved(), saved(_use_new_zipfile_serialization=False)
    locator = archive.rindex(b'PK\x06\x07')  # ends with the number of disks
    several_disks = archive[: locator + 16] + b'\2\0\0\0' + archive[locator + 20 :]
    for content, message in {
        b'': 'is empty',
        b'<!DOCTYPE html><html>403': 'is a web page',
        b'any other bytes': 'is not a checkpoint',
        archive[: len(archive) // 2]: 'is truncated',
        several_disks: 'is truncated',
        legacy[:-9]: 'damaged',
        legacy[:30]: 'damaged',
        pickle.dumps(dict(a=1), protocol=4): 'damaged',
    }.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f'file.pth .*{message}') as caught:
            load_weights_only(path)
        assert 'weights_only' not in str(caught.value)
    with zipfile.ZipFile(path, 'w') as other:
        other.writestr('a.txt', 'not by torch')
    with pytest.raises(ValueError, match=r'file.pth is a zip archive'):
        load_weights_only(path)


def test_archive_that_unpacks_to_much_more_is_refused(tmp_path):
    path = tmp_path / 'bomb.pth'
    torch.save(dict(weight=torch.zeros(1)), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content + bytes(10_000_000 * name.endswith('data/0')))
    assert path.stat().st_size < 50_000
    with pytest.raises(ValueError, match=r'bomb.pth is not a checkpoint .*never packs'):
        load_weights_only(path)


def test_missing_file(tmp_path):
    for name in ('absent.pth', 'absent.pdparams', 'absent.safetensors'):
        with pytest.raises(FileNotFoundError, match=f'no .* at .*{name}'):
            read_weights(tmp_path / name)


# ---- weights of any format

WEIGHTS = {'fc.weight': torch.tensor([[1.5, -2.0]]), 'fc.bias': torch.tensor([0.25])}


def assert_same(content):
    assert set(content) == set(WEIGHTS)
    for name, value in WEIGHTS.items():
        assert np.array_equal(np.asarray(content[name]), value.numpy()), name


@pytest.mark.parametrize('kind', ['paddle', 'torch', 'old torch', 'safetensors'])
@pytest.mark.parametrize('ending', ['.pdparams', '.pth', '.bin', '.safetensors', '.tar', ''])
def test_content_tells_the_format(tmp_path, kind, ending):
    path = tmp_path / f'weights{ending}'
    if kind == 'paddle':
        if ending == '.safetensors':
            pytest.skip('safetensors has no first bytes of its own, and none of a pickle')
        path.write_bytes(pickle.dumps({name: value.numpy() for name, value in WEIGHTS.items()}, 4))
    elif kind == 'old torch':
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=False)
    elif kind == 'safetensors':
        pytest.importorskip('safetensors.torch').save_file(WEIGHTS, path)
    else:
        torch.save(dict(model=WEIGHTS, epoch=3), path)
        assert_same(read_weights(path)['model'])
        torch.save(WEIGHTS, path)
    assert_same(read_weights(str(path)))


def test_damaged_safetensors(tmp_path):
    path = tmp_path / 'weights.safetensors'
    pytest.importorskip('safetensors.torch').save_file(WEIGHTS, path)
    for content, message in {
        path.read_bytes()[:-1]: 'is not a safetensors file, or is',
        b'\x08\0\0\0\0\0\0\0{}': 'is not a safetensors file, or is',
        b'<html>': 'is a web page, not a checkpoint',
        b'': 'is empty',
    }.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf'weights\.safetensors {message}'):
            read_weights(path)


def test_safetensors_is_not_installed(tmp_path, monkeypatch):
    path = tmp_path / 'weights.safetensors'
    path.write_bytes(b'\x02\0\0\0\0\0\0\0{}')
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(ImportError, match='pip install safetensors'):
        read_weights(path)


# ---- what a checkpoint carries


def test_classes_of_a_checkpoint():
    meta = dict(dataset_meta=dict(classes=('ant', 'bee')))
    assert classes_of(dict(meta=meta, state_dict={})) == ['ant', 'bee']
    for other in ([1], {}, dict(meta=None), dict(meta=dict(dataset_meta=[1])),
                  dict(meta=dict(dataset_meta=dict(classes='ant'))),
                  dict(meta=dict(dataset_meta=dict(classes=[])))):  # fmt: skip
        assert classes_of(other) is None
