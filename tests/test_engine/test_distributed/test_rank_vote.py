import multiprocessing
from datetime import timedelta

import pytest
from torch import distributed

from mmpretrain_mldecoder.engine.distributed.agree import RankVote


def _vote(rank: int, file: str, rounds: list, answers) -> None:
    distributed.init_process_group(
        'gloo', f'file://{file}', timedelta(seconds=60), rank=rank, world_size=2
    )
    vote = RankVote()
    notices = iter([False, rank == 1, False, rank == 0])
    vote.notice = lambda: next(notices)
    answers.put((rank, [(vote.any(flags[rank]), vote.noticed) for flags in rounds]))
    distributed.destroy_process_group()


@pytest.mark.parametrize('rounds', [[(False, False), (False, True), (True, False), (True, True)]])
def test_all_processes_get_the_same_answer(tmp_path, rounds):
    context = multiprocessing.get_context('fork')
    answers = context.Queue()
    processes = [
        context.Process(target=_vote, args=(rank, tmp_path / 'store', rounds, answers))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    got = dict(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
    expected = [(False, False), (True, True), (True, False), (True, True)]
    assert got == {0: expected, 1: expected}


def test_alone():
    vote = RankVote()
    assert vote.any(True) is True and vote.noticed is False
    vote.notice = lambda: True
    assert vote.any(False) is False and vote.noticed is True
