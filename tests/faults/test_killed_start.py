"""``mldecoder start``, killed in each of its stages, ends as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tiny_run import ROOT

from mmpretrain_mldecoder.datasets.demo_scenes import make_demo_dataset

pytestmark = pytest.mark.faults

STAGES = ('browse', 'train', 'thresholds', 'refit', 'test', 'report', 'export')


def test_killed_in_every_stage(tmp_path):
    make_demo_dataset(tmp_path / 'data', num_train=60, num_val=20)
    run = tmp_path / 'run'
    command = [sys.executable, '-u', '-m', 'mmpretrain_mldecoder.console', 'start']
    command += [str(tmp_path / 'data'), '--out', str(run), '--epochs', '2', '--batch-size', '8']
    environment = os.environ | dict(OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')
    for stage in STAGES:
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            seen = []
            for line in process.stdout:
                seen.append(line)
                name = 'train' if stage == 'refit' else stage
                is_refit = 'refit.py' in line
                if line.startswith(f'$ mldecoder {name}') and is_refit == (stage == 'refit'):
                    time.sleep(6)  # MMPretrain is imported by then
                    os.killpg(process.pid, signal.SIGKILL)
                    break
            else:
                pytest.fail(''.join(seen))
        finished = json.loads((run / 'start.json').read_text())['finished']
        assert finished[:2] == ['labels', 'config']

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((run / 'start.json').read_text())['finished'] == ['labels', 'config', *STAGES]
    for name in ('report/index.html', 'model.onnx', 'model.pth', 'predictions.pkl'):
        assert (run / name).stat().st_size > 0
    assert 'on 20 test images' in done.stdout
