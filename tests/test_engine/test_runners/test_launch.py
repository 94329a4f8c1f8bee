import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from tiny_run import ROOT, run, write_tiny_config

from mmpretrain_mldecoder.engine.runners import launch


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return write_tiny_config(tmp_path_factory.mktemp('launch'))


def _args(config, *arguments, **more) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    launch.add_common_arguments(parser)
    defaults = dict(amp=False, no_validate=False, auto_scale_lr=False, resume=None, weights=None)
    return parser.parse_args(list(arguments), argparse.Namespace(config=config, **defaults | more))


def _train_config(args):
    cfg = launch.load_config(args)
    launch.apply_train_arguments(cfg, args)
    return cfg


def test_work_dir_is_argument_then_config_then_name(config):
    assert launch.load_config(_args(config)).work_dir == 'work_dirs/tiny'
    option = _args(config, '--cfg-options', 'work_dir=a')
    assert launch.load_config(option).work_dir == 'a'
    assert launch.load_config(_args(config, '--work-dir', 'b')).work_dir == 'b'
    own = config.with_name('own.py')
    own.write_text(f'{config.read_text()}\nwork_dir = "c"\n')
    assert launch.load_config(_args(own)).work_dir == 'c'
    assert launch.load_config(_args(own, '--work-dir', 'd')).work_dir == 'd'


def test_host_defaults_and_options(config):
    options = ['model.head.drop_rate=0.25', 'train_dataloader.pin_memory=False', 'load_from=None']
    cfg = launch.load_config(_args(config, '--cfg-options', *options, '--launcher', 'pytorch'))
    assert cfg.model.head.drop_rate == 0.25 and cfg.load_from is None
    assert cfg.launcher == 'pytorch' and cfg.runner_type == 'mmpretrain.PortableRunner'
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert cfg[name].collate_fn.type == 'default_collate'
        assert cfg[name].pin_memory == (name != 'train_dataloader')


def test_line_of_a_config_that_cannot_be_read(tmp_path):
    config = tmp_path / 'broken.py'
    for lines, message in {
        'x = 1\ny = 1 / 0\n': 'broken.py, line 2, cannot be read: ZeroDivisionError: division',
        'import torch\nx = "a" + torch.__version__.upper()\n': 'line 2, .*: what a config imports',
    }.items():
        config.write_text(lines)
        with pytest.raises(ValueError, match=message):
            launch.load_config(_args(config))
    with pytest.raises(FileNotFoundError, match=r'no config at .*absent.py'):
        launch.load_config(_args(tmp_path / 'absent.py'))


@pytest.mark.parametrize('address', ['s3://bucket/run', 'file:///tmp/run'])
def test_work_dir_is_a_folder(config, address):
    with pytest.raises(ValueError, match=f"work_dir = '{address}' is an address"):
        launch.load_config(_args(config, '--work-dir', address))


@pytest.mark.parametrize(
    ('option', 'message'),
    [('model.type.x=1', 'type is a dict in the child'), ('train_pipeline.9.scale=1', 'Index 9')],
)
def test_option_that_does_not_fit(config, option, message):
    with pytest.raises(ValueError, match=f'--cfg-options {option} does not fit.*{message}'):
        launch.load_config(_args(config, '--cfg-options', option))


@pytest.mark.parametrize('option', ['train_cfg', 'a=[(1,2),3'])
def test_option_that_is_none(config, option, capsys):
    with pytest.raises(SystemExit):
        _args(config, '--cfg-options', 'load_from=None', option)
    assert f'{option!r} is not KEY=VALUE' in capsys.readouterr().err


def test_train_arguments(config):
    cfg = _train_config(_args(config, amp=True, no_validate=True, auto_scale_lr=True))
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.auto_scale_lr.enable
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None


def test_resume(config, tmp_path):
    option = ['--work-dir', str(tmp_path), '--cfg-options', 'load_from=weights.pth']
    cfg = _train_config(_args(config, *option, resume='auto'))
    assert cfg.resume == 'auto' and cfg.load_from == 'weights.pth'
    cfg = _train_config(_args(config, *option, 'runner_type=Runner', resume='auto'))
    assert cfg.resume is True and cfg.load_from is None
    checkpoint = tmp_path / 'epoch_2.pth'
    checkpoint.touch()
    cfg = _train_config(_args(config, *option, resume=str(checkpoint)))
    assert cfg.resume is True and cfg.load_from == str(checkpoint)
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at absent.pth'):
        _train_config(_args(config, resume='absent.pth'))


def test_config_without_what_is_asked_for(config):
    with pytest.raises(ValueError, match=r'has no train_cfg: it is for testing only'):
        _train_config(_args(config, '--cfg-options', 'train_cfg=None'))
    with pytest.raises(ValueError, match=r'no auto_scale_lr.base_batch_size'):
        _train_config(_args(config, '--cfg-options', 'auto_scale_lr=None', auto_scale_lr=True))
    args = _args(config, '--cfg-options', 'test_cfg=None', checkpoint='absent.pth')
    with pytest.raises(ValueError, match='has no test_cfg'):
        launch.apply_test_arguments(launch.load_config(args), args)
    args = _args(config, checkpoint='absent.pth')
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at absent.pth'):
        launch.apply_test_arguments(launch.load_config(args), args)


@pytest.mark.parametrize('hook', ['DualEMAHook', 'EMAHook', None])
def test_chosen_weights_replace_the_ema_hook(config, tmp_path, hook):
    checkpoint = tmp_path / 'a.pth'
    checkpoint.touch()
    args = _args(config, checkpoint=str(checkpoint), weights='raw')
    cfg = launch.load_config(args)
    other = dict(type='IterSeedHook')
    cfg.custom_hooks = [dict(type=hook), other] if hook else None
    launch.apply_test_arguments(cfg, args)
    chosen = dict(type='mmpretrain.DualEMAHook', test_weights='raw')
    assert cfg.custom_hooks == ([other, chosen] if hook else [chosen])


def test_auto_scale_lr_moves_the_whole_one_cycle(config, tmp_path):
    options = ['train_cfg.max_epochs=1', 'optim_wrapper.optimizer.lr=0.5']
    args = _args(config, '--work-dir', str(tmp_path), '--cfg-options', *options, auto_scale_lr=True)
    runner = launch.build_runner(_train_config(args))
    runner.train()
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    for group in saved['optimizer']['param_groups']:
        assert group['max_lr'] == 0.25  # batch 4, the rate is for 8


def test_workers_of_a_training_leave_nothing_in_the_temporary_folder(config, tmp_path):
    # The interpreter's end kills persistent workers, which leave a folder with a socket each.
    command = [sys.executable, ROOT / 'tools' / 'train.py', config, '--work-dir', tmp_path / 'run']
    options = [f'{split}_dataloader.num_workers=1' for split in ('train', 'val')]
    options = ['--cfg-options', 'train_cfg.max_epochs=1', *options]
    with tempfile.TemporaryDirectory(dir='/tmp') as temporary:  # pytest's has too long a name
        printed = run(*command, *options, TMPDIR=temporary)
        assert 'Epoch(val) [1]' in printed
        assert not list(Path(temporary).glob('pymp-*'))


FAULTS = """
import json
import resource
import torch
from mmpretrain_mldecoder.engine.runners.launch import keep_freed_memory

def faults():
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        kept = [torch.ones(2**24) for _ in range(3)]  # 64 MB each, more than glibc keeps by itself
        del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with_gpu = [faults()]
torch.cuda.is_available = lambda: True
keep_freed_memory()
with_gpu.append(faults())
torch.cuda.is_available = lambda: False
keep_freed_memory()
print(json.dumps([with_gpu, faults()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='a setting of glibc')
def test_the_kernel_gives_no_pages_again_without_a_gpu():
    command = [sys.executable, '-c', FAULTS]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    (before, with_gpu), on_cpu = json.loads(output)
    assert with_gpu > before / 2
    assert on_cpu < before / 10
