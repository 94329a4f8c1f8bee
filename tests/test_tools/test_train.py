import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from tiny_run import (
    ROOT,
    WORKER,
    assert_same_training,
    free_port,
    load_tool,
    read,
    refusal,
    run,
    write_tiny_config,
)

from mmpretrain_mldecoder.visualization.html_page import read_page_data

HERE = Path(__file__).parent
run_train, run_test = load_tool('train'), load_tool('test')


@HOOKS.register_module()
class KillHook(Hook):
    """Ends the process within the second epoch, as the out-of-memory killer would."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 4:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """A config and its work dir after 3 epochs in one go."""
    folder = tmp_path_factory.mktemp('train')
    config = write_tiny_config(folder, WORKER)
    run_train(config, '--work-dir', folder / 'run')
    return config, folder / 'run'


def test_writes_checkpoints_and_log(unbroken):
    names = {path.name for path in unbroken[1].iterdir() if path.is_file()}
    assert {'epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', 'last_checkpoint', 'tiny.py'} <= names
    assert len([name for name in names if name.startswith('best_coco_mAP_epoch_')]) == 1
    assert not [name for name in names if name.endswith('.tmp')]


def test_killed_and_resumed_equals_unbroken(unbroken, tmp_path):
    """Other moments are in tests/faults/killed_training.py."""
    config, run_dir = unbroken
    killer = tmp_path / 'killer.py'
    killer.write_text(f'{config.read_text()}\ncustom_hooks.append(dict(type="KillHook"))\n')
    work_dir = ['--work-dir', tmp_path / 'run']
    # A process of its own: torch may not be trained with in a fork of one that has trained.
    script = 'import sys, test_train; test_train.run_train(*sys.argv[1:])'
    paths = [str(HERE), str(HERE.parent / 'support'), os.environ.get('PYTHONPATH', '')]
    process = subprocess.run(
        [sys.executable, '-c', script, killer, *work_dir],
        env=os.environ | dict(PYTHONPATH=os.pathsep.join(paths)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == -signal.SIGKILL, process.stdout + process.stderr
    assert (tmp_path / 'run' / 'epoch_1.pth').exists()
    assert not (tmp_path / 'run' / 'epoch_2.pth').exists()

    run_train(config, *work_dir, '--resume')
    assert_same_training(tmp_path / 'run' / 'epoch_3.pth', run_dir / 'epoch_3.pth')
    assert not list((tmp_path / 'run').glob('.*.tmp'))


def test_resume_from_a_named_checkpoint_without_validation(unbroken, tmp_path):
    config, run_dir = unbroken
    checkpoint = run_dir / 'epoch_2.pth'
    run_train(config, '--work-dir', tmp_path, '--resume', checkpoint, '--no-validate')
    assert_same_training(tmp_path / 'epoch_3.pth', run_dir / 'epoch_3.pth')
    assert 'Epoch(val)' not in next(tmp_path.glob('*/*.log')).read_text()


def test_two_processes_from_another_folder(unbroken, tmp_path):
    # Arguments with spaces go through; the score of the best checkpoint is that of its file.
    script, work_dir = ROOT / 'tools' / 'dist_train.sh', tmp_path / 'work dir'
    options = ['--work-dir', work_dir, '--cfg-options', 'train_cfg.max_epochs=2']
    options += ['custom_hooks.0.type=LivePageHook']  # seeds need no hook here
    printed = run('bash', script, unbroken[0], 2, *options, PORT=free_port())
    assert 'There is no GPU: training in fp32' in printed
    (best,) = work_dir.glob('best_coco_mAP_epoch_*.pth')
    checkpoint = read(best)
    assert checkpoint['meta']['iter'] in (2, 4)  # 12 images / 2 processes / batch 4: 2 steps
    score = checkpoint['message_hub']['runtime_info']['best_score']
    metrics = run_test(unbroken[0], best, '--work-dir', tmp_path)
    assert metrics['coco/mAP'] == pytest.approx(score, abs=1e-9)
    page = read_page_data(work_dir / 'live.html')
    assert max(v['metrics']['coco/mAP'] for v in page['validations']) == pytest.approx(score)
    assert len(page['images']) == 7 and printed.count('Validation after epoch 2') == 1


def test_mmpretrain_s_own_tools_with_one_import_line(tmp_path):
    # Everything is registered by custom_imports; the runner is MMEngine's own, whose checkpoints
    # hold log histories that a plain weights-only load refuses.
    config = write_tiny_config(tmp_path, "del optim_wrapper['type'], optim_wrapper['loss_scale']\n")
    work_dir = tmp_path / 'host'
    program = """
import runpy, sys
from pathlib import Path
import mmpretrain
tools = Path(mmpretrain.__file__).parent / '.mim' / 'tools'
config, work_dir = sys.argv[1:]
loaders = [f'{name}_dataloader.persistent_workers=False' for name in ('train', 'val', 'test')]
for tool, *arguments in (
    ('train.py', '--cfg-options', 'train_cfg.max_epochs=1', *loaders),
    ('test.py', work_dir + '/epoch_1.pth'),
    ('train.py', '--resume', '--cfg-options', 'train_cfg.max_epochs=2', *loaders),
):
    sys.argv[1:] = [config, *arguments, '--work-dir', work_dir]
    runpy.run_path(str(tools / tool), run_name='__main__')
"""
    printed = run(sys.executable, '-c', program, config, work_dir)
    assert 'Epoch(test)' in printed and 'coco/mAP_raw: ' in printed
    assert (work_dir / 'epoch_2.pth').exists()


def test_errors_are_short(unbroken, capsys):
    error = refusal(capsys, run_train, unbroken[0], '--resume', 'absent.pth')
    assert 'no checkpoint at absent.pth' in error


@pytest.mark.parametrize('script', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_scripts_say_how_to_use_them(script):
    printed = run('bash', ROOT / 'tools' / f'{script}.sh', 'config.py', check=False)
    assert printed.startswith('usage: bash')


def test_slurm_script_passes_everything_on(tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nfor part in "$@"; do echo "<$part>"; done\n')
    srun.chmod(0o755)
    path = f'{tmp_path}:{os.environ["PATH"]}'
    script = ROOT / 'tools' / 'slurm_train.sh'
    arguments = ['part', 'job', 'a b.py', 'work dir', '--cfg-options', 'x="[1, 2]"']
    printed = run('bash', script, *arguments, PATH=path, GPUS='2', GPUS_PER_NODE='1', PYTHON='py')
    for part in ('--gres=gpu:1', '--ntasks=2', 'py', 'a b.py', '--work-dir=work dir', 'x="[1, 2]"'):
        assert f'<{part}>' in printed
    printed = run('bash', script, *arguments, PATH=path, GPUS_PER_NODE='0', SRUN_ARGS='-w n1')
    assert 'gpu:' not in printed and '<-w>\n<n1>' in printed
