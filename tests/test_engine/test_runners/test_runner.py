import os

import pytest
import torch
from mmengine.dist import is_distributed
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from tiny_run import build_runner, free_port, read, read_log, write_tiny_config
from torch._dynamo.utils import counters

from mmpretrain_mldecoder.engine import (
    CPUDistributedDataParallel,
    DurableCheckpointHook,
    PortableRunner,
    ResumableEpochLoop,
    ResumableIterLoop,
)
from mmpretrain_mldecoder.engine.optimizers import SkippingOptimWrapper
from mmpretrain_mldecoder.engine.runners.portable import portable_parts

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')


def test_checkpoints_are_plain_data(unseeded):
    for path in unseeded[1].glob('*.pth'):
        assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []


@without_gpu
def test_mixed_precision_becomes_fp32_with_one_warning(unseeded):
    assert read_log(unseeded[1]).count('training in fp32, not in mixed precision') == 1
    cfg = dict(type='AmpOptimWrapper', dtype='bfloat16', clip_grad=dict(max_norm=1.0))
    wrapper = portable_parts(dict(optim_wrapper=cfg))['optim_wrapper']
    assert wrapper == dict(type='OptimWrapper', clip_grad=dict(max_norm=1.0))
    assert cfg['type'] == 'AmpOptimWrapper'  # the caller's config stays


def test_rewritten_parts():
    wrapper = dict(type='OptimWrapper', max_skips=2)
    loops = dict(by_epoch=True, max_epochs=3), dict(by_epoch=False, max_iters=3)
    parts = [portable_parts(dict(train_cfg=loop, optim_wrapper=wrapper)) for loop in loops]
    assert parts[0]['train_cfg'] == dict(type=ResumableEpochLoop, max_epochs=3)
    assert parts[1]['train_cfg'] == dict(type=ResumableIterLoop, max_iters=3)
    assert parts[0]['optim_wrapper'] == dict(type=SkippingOptimWrapper, max_skips=2)
    own = dict(train_cfg=dict(type='MyLoop'), default_hooks=dict(checkpoint=None))
    assert portable_parts(own).items() >= own.items()


@pytest.mark.parametrize('hook_type', ['CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook])
def test_checkpoint_hook(hook_type):
    hook = dict(type=hook_type, interval=2)
    parts = portable_parts(dict(default_hooks=dict(checkpoint=hook)))
    assert parts['default_hooks']['checkpoint'] == dict(type=DurableCheckpointHook, interval=2)
    assert portable_parts({})['default_hooks']['checkpoint']['type'] is DurableCheckpointHook


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
    environment = dict(RANK=0, WORLD_SIZE=1, LOCAL_RANK=0, MASTER_PORT=free_port())
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


# aot_eager traces forward and backward as the default does, and compiles nothing. Batches of 5, 5
# and 2 images, each with labels of its own.
COMPILED = {
    'model.backbone': dict(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,)),
    'model.head.in_channels': 4,
    'train_cfg.max_epochs': 1,
    'param_scheduler.total_steps': 1,
    'train_dataloader.batch_size': 5,
    'optim_wrapper.optimizer.eps': 0.01,
    'train_cfg.val_begin': 2,  # after the end
}


def test_compiled_training_is_that_without(tmp_path):
    config = write_tiny_config(tmp_path)
    for name, compile_options in (('eager', False), ('compiled', dict(backend='aot_eager'))):
        counters.clear()
        runner = build_runner(config, tmp_path / name, compile=compile_options, **COMPILED)
        runner.train()
    # The backbone and the decoder, once for each of the two batch sizes at most, in one piece each.
    assert 2 <= counters['stats']['unique_graphs'] <= 4
    assert not counters['graph_break']

    eager, compiled = (read(tmp_path / name / 'epoch_1.pth') for name in ('eager', 'compiled'))
    for part in ('state_dict', 'ema_state_dict'):
        # 3 steps in float32, sums in another order
        torch.testing.assert_close(compiled[part], eager[part], rtol=1e-4, atol=1e-5)


class Plain(BaseModel):
    """A model that is no classifier."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


def test_compile_needs_a_backbone(tmp_path):
    runner = PortableRunner(
        cfg=dict(compile=True),
        model=Plain(),
        work_dir=str(tmp_path),
        experiment_name='plain',
        default_scope='mmpretrain',
    )
    with pytest.raises(ValueError, match='compile needs a backbone, but Plain has none'):
        runner._maybe_compile('train_step')
