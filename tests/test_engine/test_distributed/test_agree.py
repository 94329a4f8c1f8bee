import os

import pytest
from gloo_ranks import in_processes

from mmpretrain_mldecoder.engine.distributed.agree import RankVote, on_each_machine, on_main_process
from mmpretrain_mldecoder.errors import ConfigError, RunError

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
