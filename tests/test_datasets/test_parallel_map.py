import math
import os
import signal

import pytest

from mmpretrain_mldecoder.datasets.parallel_map import parallel_map


@pytest.mark.parametrize('workers', [1, 2])
def test_results_come_in_order(workers):
    numbers = list(range(100))
    assert list(parallel_map(math.sqrt, numbers, 'roots', workers)) == [n**0.5 for n in numbers]


def test_the_caller_does_not_work():
    assert os.getpid() not in set(parallel_map(_process, range(3), 'who', 2))


def _process(_: int) -> int:
    return os.getpid()


def test_errors_reach_the_caller():
    with pytest.raises(ValueError, match=r'math domain|nonnegative'):
        list(parallel_map(math.sqrt, [1, -1], 'roots', 1))


def test_killed_worker_is_told():
    with pytest.raises(ChildProcessError, match=r'one of 2 worker processes died\. .*fewer'):
        list(parallel_map(_killed, range(40), 'kill', 2))


def _killed(number: int) -> int:
    if number == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
