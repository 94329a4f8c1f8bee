import datetime
import os
import sys

import pytest
import torch
from gloo_ranks import in_processes
from tiny_run import ROOT, free_port, run, write_tiny_config
from torch import distributed, nn

from mmpretrain_mldecoder.engine.distributed import (
    CPUSyncBatchNorm,
    RankVote,
    init_cpu_process_group,
    on_each_machine,
    on_main_process,
)
from mmpretrain_mldecoder.errors import ConfigError, RunError

TORCH_NAMES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


@pytest.fixture
def joined(monkeypatch):
    """No launcher's variables, and a record of what would have been joined."""
    for name in list(os.environ):
        if name in TORCH_NAMES or name.startswith(('SLURM_', 'OMPI_')):
            monkeypatch.delenv(name)
    calls = []
    monkeypatch.setattr(
        distributed,
        'init_process_group',
        lambda backend, **kwargs: calls.append(
            (backend, kwargs, {name: os.environ.get(name) for name in TORCH_NAMES})
        ),
    )
    # what init_cpu_process_group sets is undone with the rest
    for name in TORCH_NAMES:
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    return calls


@pytest.mark.parametrize(
    ('launcher', 'environment', 'expected'),
    [
        ('pytorch', 'RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=h MASTER_PORT=5', '1 2 1 h 5'),
        (
            'slurm',
            'SLURM_PROCID=3 SLURM_NTASKS=4 SLURM_LOCALID=1 SLURM_NODELIST=n[3-4]',
            '3 4 1 n3 29500',
        ),
        (
            'mpi',
            'OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=1 '
            'MASTER_ADDR=h MASTER_PORT=7',
            '1 2 1 h 7',
        ),
    ],
)
def test_launchers(joined, monkeypatch, tmp_path, launcher, environment, expected):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames n[3-4]" ] && printf "n3\\nn4\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    for variable in environment.split():
        monkeypatch.setenv(*variable.split('='))
    init_cpu_process_group(launcher, timeout=60)
    values = dict(zip(TORCH_NAMES, expected.split(), strict=True))
    assert joined == [('gloo', dict(timeout=datetime.timedelta(seconds=60)), values)]


@pytest.mark.parametrize(
    ('launcher', 'message'),
    [
        ('pytorch', r'did not set RANK, .*tools/dist_train.sh'),
        ('slurm', 'did not set SLURM_PROCID'),
        ('mpi', 'did not set OMPI_COMM_WORLD_RANK'),
        ('other', "'pytorch', 'slurm' or 'mpi', but got 'other'"),
    ],
)
def test_started_without_its_launcher(joined, launcher, message):
    with pytest.raises(ValueError, match=message):
        init_cpu_process_group(launcher)


@pytest.mark.skipif(not os.path.isdir('/proc/self/task'), reason='reads the names of threads')
def test_no_thread_of_gloo_is_left_to_the_end_of_the_interpreter(tmp_path):
    # Such a thread aborts the process if it asks for Python then: "terminate called without an
    # active exception", seen once in 580 ends of two processes on a busy machine.
    program = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny_run import build_runner
from mmpretrain_mldecoder.engine.runners import launch

def gloo():
    return sum('runloop' in name.read_text() for name in Path('/proc/self/task').glob('*/comm'))

runner = build_runner(Path(sys.argv[2]), Path(sys.argv[3]), **{
    'launcher': 'pytorch', 'train_cfg.max_epochs': 1, 'train_dataloader.num_workers': 0})
runner.train()
before = gloo()
launch.end_run(runner)
print('threads of gloo:', before, gloo())
"""
    words = (program, ROOT / 'tests/support', write_tiny_config(tmp_path), tmp_path)
    values = dict(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1')
    printed = run(sys.executable, '-c', *words, **values, MASTER_PORT=free_port())
    before, after = map(int, printed.partition('threads of gloo: ')[2].split())
    if not before:
        pytest.skip('this version of torch gives the threads of gloo no name')
    assert after == 0


def norm_gradients(rank, world_size, split, momentum, shape):
    """Gradients of everything, and the running statistics, after a step on this rank's part."""
    torch.manual_seed(0)
    inputs, weights = (torch.randn(7, 3, *shape, dtype=torch.float64) for _ in range(2))
    norm = nn.BatchNorm2d(3, momentum=momentum) if shape else nn.BatchNorm1d(3, momentum=momentum)
    norm = norm.double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
    if world_size > 1:
        norm = CPUSyncBatchNorm.replace_in(nn.SyncBatchNorm.convert_sync_batchnorm(norm))
        assert type(norm) is CPUSyncBatchNorm
    parts = inputs.split(split), weights.split(split)
    for _ in range(2):
        x = parts[0][rank].clone().requires_grad_()
        y = norm(x)
        norm.zero_grad()
        # no sum of the outputs, whose gradient is 0
        (parts[1][rank] * y.sin()).sum().backward()
    evaluated = norm.eval()(x).detach()
    gradients = dict(x=x.grad, weight=norm.weight.grad, bias=norm.bias.grad)
    return gradients | dict(y=y.detach(), evaluated=evaluated, state=norm.state_dict())


@pytest.mark.parametrize('momentum', [0.1, None])
@pytest.mark.parametrize('shape', [(4, 5), ()])
def test_the_norm_is_that_of_all_images(tmp_path, momentum, shape):
    # 3 and 4 images; float64, so what is left is the order of sums
    (one,) = in_processes(norm_gradients, 1, tmp_path / '1', [7], momentum, shape)
    two = in_processes(norm_gradients, 2, tmp_path / '2', [3, 4], momentum, shape)
    close = dict(rtol=1e-9, atol=1e-11)
    for name in ('x', 'y', 'evaluated'):
        torch.testing.assert_close(torch.cat([rank[name] for rank in two]), one[name], **close)
    for name in ('weight', 'bias'):
        torch.testing.assert_close(sum(rank[name] for rank in two), one[name], **close)
    for rank in two:
        torch.testing.assert_close(rank['state'], one['state'], **close)


# ---- agreement of ranks

ERRORS = (RunError('no room'), ConfigError('a = 1'), OSError(28, 'full'), KeyError('x'))


def outcomes(rank, world_size, on_ranks, local_ranks):
    """What a function and its errors come to on this rank, and how often it was called."""
    calls = []
    os.environ['LOCAL_RANK'] = str(local_ranks[rank])

    def act(raised=None):
        calls.append(rank)
        if raised is not None:
            raise raised
        return f'by {rank}'

    found = [on_ranks(act)]
    for error in ERRORS:
        try:
            on_ranks(lambda error=error: act(error))
        except Exception as raised:
            found.append((type(raised).__name__, str(raised)))
    return found, len(calls)


def test_all_ranks_return_or_raise_what_the_main_process_does(tmp_path):
    (main, num_calls), (other, num_other_calls) = in_processes(
        outcomes, 2, tmp_path / 'ranks', on_main_process, [0, 1]
    )
    assert (num_calls, num_other_calls) == (5, 0)
    raised = [(type(error).__name__, str(error)) for error in ERRORS]
    assert main == ['by 0', *raised]
    told = ('RunError', "another process ended: KeyError: 'x'")
    assert other == ['by 0', *raised[:-1], told]


def test_first_rank_of_each_machine(tmp_path):
    ranks = in_processes(outcomes, 3, tmp_path / 'ranks', on_each_machine, [0, 1, 0])
    assert [num_calls for _, num_calls in ranks] == [5, 0, 5]
    assert [found[0] for found, _ in ranks] == [['by 0', 'by 0', 'by 2']] * 3
    assert [found[1] for found, _ in ranks] == [('RunError', 'no room')] * 3


def votes(rank, world_size, rounds):
    vote = RankVote()
    notices = iter([False, rank == 1, False, rank == 0])
    vote.notice = lambda: next(notices)
    return [(vote.any(flags[rank]), vote.noticed) for flags in rounds]


def test_all_ranks_get_the_same_answer(tmp_path):
    rounds = [(False, False), (False, True), (True, False), (True, True)]
    expected = [(False, False), (True, True), (True, False), (True, True)]
    assert in_processes(votes, 2, tmp_path / 'ranks', rounds) == [expected] * 2


def test_alone():
    assert on_main_process(lambda: 5) == 5
    assert on_each_machine(lambda: 5) == [5]
    with pytest.raises(KeyError):
        on_main_process(lambda: {}['x'])
    vote = RankVote()
    assert vote.any(True) is True and vote.noticed is False
    vote.notice = lambda: True
    assert vote.any(False) is False and vote.noticed is True
