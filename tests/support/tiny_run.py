"""A training of seconds on the fake COCO, for the tests of the engine and the tools."""

import itertools
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_coco import write_coco
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

from mmpretrain_mldecoder.engine import PortableRunner

ROOT = Path(__file__).parents[2]

# 12 images in batches of 4: 3 steps an epoch, 9 in all. Everything that could break an exact
# resume is here: dropout, random augmentation, Adam, OneCycle, EMA; WORKER adds a process to it.
_CONFIG = """
custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)
default_scope = 'mmpretrain'

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True, num_classes=4,
                           to_onehot=True),
    backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, num_stages=2,
                  strides=(4, 2), dilations=(1, 1), out_indices=(1,)),
    head=dict(type='MLDecoderHead', num_classes=4, in_channels=8, embed_dims=8, num_heads=2,
              feedforward_channels=16, drop_rate=0.5))

dataset = dict(type='COCOMultiLabel', data_root={data_root!r})
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=32),
    dict(type='PackInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 32)),
    dict(type='PackInputs', meta_keys=('sample_idx', 'img_path', 'instance_labels',
                                       'instance_areas'))]
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, data_prefix='train2017',
                 ann_file='annotations/instances_train2017.json', **dataset))
val_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, data_prefix='val2017',
                 ann_file='annotations/instances_val2017.json', **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='MultiLabelMAP')
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='AmpOptimWrapper', loss_scale='dynamic',
    optimizer=dict(type='Adam', lr=3e-3, weight_decay=1e-4), constructor='NoDecay1DConstructor')
param_scheduler = dict(type='PlainOneCycleLR', total_steps=3, pct_start=0.3, by_epoch=True,
                       convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=8)
custom_hooks = [dict(type='IterSeedHook'), dict(type='DualEMAHook', decay=0.7)]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto'))
randomness = dict(seed=0)
"""

WORKER = "train_dataloader['num_workers'] = 1\n"

# Options that make the backbone a narrow ResNet18_vd of PaddleClas.
VD = {
    'model.backbone.type': 'ResNetVd',
    'model.backbone.num_stages': 4,
    'model.backbone.strides': (1, 2, 2, 2),
    'model.backbone.dilations': (1, 1, 1, 1),
    'model.backbone.out_indices': (3,),
    'model.head.in_channels': 32,
}

# The same as a training by iterations, for the end of the config: 8 steps on passes of 3 over the
# data, with a checkpoint every 2 and a validation every 4 steps.
ITERATIONS = """
train_cfg = dict(by_epoch=False, max_iters=8, val_interval=4)
param_scheduler = dict(type='PlainOneCycleLR', total_steps=8, pct_start=0.3, by_epoch=False)
default_hooks['checkpoint'].update(by_epoch=False, interval=2)
log_processor = dict(by_epoch=False)
"""


def write_tiny_config(folder: Path, more: str = '') -> Path:
    """Write the dataset and the config below ``folder``, with ``more`` lines at its end."""
    if not (folder / 'coco').is_dir():
        write_coco(folder / 'coco', dict(train=12, val=7))
    path = folder / 'tiny.py'
    path.write_text(_CONFIG.replace('{data_root!r}', repr(str(folder / 'coco'))) + more)
    return path


# MMEngine keeps one log and message hub for each experiment name and second.
_experiments = (f'tiny{number}' for number in itertools.count())


def build_runner(config: Path, work_dir: Path, **options) -> Runner:
    """Build the runner of a config in this process."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(work_dir=str(work_dir), experiment_name=next(_experiments)) | options)
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    for loader in filter(None, loaders):
        loader.setdefault('collate_fn', dict(type='default_collate'))
    return PortableRunner.from_cfg(cfg)


def load_main(name: str) -> Callable:
    """Return the ``main`` of ``tools/NAME.py``."""
    return runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))['main']


def train_and_list_images(runner: Runner) -> list[int]:
    """Train in this process, and return the indices of the images that the steps have read."""
    indices, dataset = [], runner.train_dataloader.dataset
    prepare = dataset.prepare_data
    dataset.prepare_data = lambda index: indices.append(index) or prepare(index)
    forget = Hook()
    forget.before_train_epoch = lambda runner: indices.clear()  # a check at the start reads one
    runner.register_hook(forget)
    runner.train()
    return indices


def read_log(work_dir: Path) -> str:
    """Return the logs of all runs in a work dir."""
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


def free_port() -> str:
    """Return a port for processes to meet at."""
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        return str(taken.getsockname()[1])


def load_tool(name: str) -> Callable:
    """Return ``tools/NAME.py`` as a function of the arguments on the command line."""
    main = load_main(name)

    def call(*arguments: str | Path):
        options = ['--cfg-options', f'experiment_name={next(_experiments)}']
        return main([*map(str, arguments), *options])

    return call


def refusal(capsys, tool: Callable, *arguments) -> str:
    """Run a tool that is to end with status 2; return what it says, as one line."""
    with pytest.raises(SystemExit) as stop:
        tool(*arguments)
    assert stop.value.code == 2
    return ' '.join(capsys.readouterr().err.split())


def run(*command: str | Path, check: bool = True, **environment: str) -> str:
    """Run a command with this interpreter as ``PYTHON`` and return what it printed.

    One that hangs is made to print where all its threads are.
    """
    process = subprocess.Popen(
        [str(part) for part in command],
        env=os.environ
        | dict(PYTHON=sys.executable, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')
        | dict(PYTHONFAULTHANDLER='1')
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGABRT)
        printed, _ = process.communicate(timeout=60)
        raise AssertionError(f'{command} hangs:\n{printed}') from None
    assert not check or process.returncode == 0, printed
    return printed


def read(path: Path) -> dict:
    """Read a checkpoint with torch alone: there is only plain data in it."""
    return torch.load(path, weights_only=True)


def assert_same_training(one: Path, other: Path) -> None:
    """Compare all that a training resumes from, bit by bit."""
    one, other = read(one), read(other)
    for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
        assert_equal(one[part], other[part], part)
    for part in ('epoch', 'iter', 'seed'):
        assert one['meta'][part] == other['meta'][part]


def assert_equal(one, other, where: str = '') -> None:
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    elif isinstance(one, HistoryBuffer):
        assert np.array_equal(one.data, other.data), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f'{where}.{key}')
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f'{where}.{index}')
    else:
        assert one == other, where
