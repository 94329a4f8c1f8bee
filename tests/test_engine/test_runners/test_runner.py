import os
import socket
from pathlib import Path

import pytest
import torch
from mmengine.dist import is_distributed
from mmengine.fileio import LocalBackend
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmpretrain.registry import RUNNERS
from tiny_run import build_runner

from mmpretrain_mldecoder.engine import CPUDistributedDataParallel, PortableRunner

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')


def _log(work_dir: Path) -> str:
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


def test_found_in_both_registries():
    assert RUNNERS.get('PortableRunner') is PortableRunner
    assert MMENGINE_RUNNERS.get('PortableRunner') is PortableRunner


def test_checkpoints_are_plain_data(unseeded):
    for path in unseeded[1].glob('*.pth'):
        assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []


def test_broken_save_leaves_the_old_file(unseeded, tmp_path, monkeypatch):
    runner = build_runner(unseeded[0], tmp_path, **{'train_cfg.max_epochs': 1})
    runner.train()
    whole = (tmp_path / 'epoch_1.pth').read_bytes()
    assert not list(tmp_path.glob('*.tmp'))

    def put_half(self, content, path):
        Path(path).write_bytes(bytes(content)[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalBackend, 'put', put_half)
    with pytest.raises(KeyboardInterrupt):
        runner.save_checkpoint(str(tmp_path), 'epoch_1.pth')
    assert (tmp_path / 'epoch_1.pth').read_bytes() == whole


@without_gpu
def test_mixed_precision_becomes_fp32_with_one_warning(unseeded, tmp_path):
    assert _log(unseeded[1]).count('training in fp32, not in mixed precision') == 1
    runner = build_runner(unseeded[0], tmp_path)
    cfg = dict(runner.cfg.optim_wrapper, dtype='bfloat16', clip_grad=dict(max_norm=1.0))
    wrapper = runner.build_optim_wrapper(cfg)
    assert type(wrapper).__name__ == 'OptimWrapper'
    assert wrapper.clip_grad_kwargs == dict(max_norm=1.0)
    assert cfg['type'] == 'AmpOptimWrapper'  # the caller's config stays


@without_gpu
def test_loader_without_workers_and_gpu(unseeded, tmp_path):
    runner = build_runner(unseeded[0], tmp_path)
    cfg = runner.cfg.val_dataloader
    cfg.update(pin_memory=True, persistent_workers=True, num_workers=0)
    loader = runner.build_dataloader(cfg)
    assert not loader.pin_memory and not loader.persistent_workers
    assert runner.build_dataloader(loader) is loader
    cfg.num_workers = 1
    assert runner.build_dataloader(cfg).persistent_workers


@without_gpu
@pytest.mark.parametrize('wrapper', [None, dict(type='MMDistributedDataParallel')])
def test_process_group_without_gpu(unseeded, tmp_path, monkeypatch, wrapper):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    environment = dict(RANK=0, WORLD_SIZE=1, LOCAL_RANK=0, MASTER_PORT=port)
    for name, value in dict(environment, MASTER_ADDR='127.0.0.1').items():
        monkeypatch.setitem(os.environ, name, str(value))
    options = {} if wrapper is None else dict(model_wrapper_cfg=wrapper)
    try:
        runner = build_runner(unseeded[0], tmp_path, launcher='pytorch', **options)
        assert is_distributed() and torch.distributed.get_backend() == 'gloo'
        assert type(runner.model) is CPUDistributedDataParallel
        assert runner.model.broadcast_buffers is False
    finally:
        torch.distributed.destroy_process_group()
