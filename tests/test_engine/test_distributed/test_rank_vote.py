import multiprocessing
from datetime import timedelta

import pytest
from torch import distributed

from mmpretrain_mldecoder.engine.distributed.rank_vote import RankVote


def _vote(rank: int, file: str, rounds: list, answers) -> None:
    distributed.init_process_group(
        'gloo', f'file://{file}', timedelta(seconds=60), rank=rank, world_size=2
    )
    vote = RankVote()
    answers.put((rank, [vote.any(flags[rank]) for flags in rounds]))
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
    assert got == {0: [False, True, True, True], 1: [False, True, True, True]}


def test_alone():
    assert RankVote().any(True) is True
    assert RankVote().any(False) is False
