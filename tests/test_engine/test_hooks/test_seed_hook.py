import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmpretrain_mldecoder.engine import IterSeedHook


def _draw(seed=0, rank=0, iteration=0, past=0, call='before_train_iter'):
    torch.rand(past + 1), np.random.rand(past + 1), random.random()
    runner = SimpleNamespace(seed=seed, rank=rank, iter=iteration)
    hook = IterSeedHook()
    if call == 'before_train_iter':
        hook.before_train_iter(runner, batch_idx=0)
    else:
        hook.before_train_epoch(runner)
    return random.random(), np.random.rand(), torch.rand(()).item()


@pytest.fixture(autouse=True)
def _restore_random_states():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def test_follows_from_the_step_and_not_from_the_past():
    assert _draw(iteration=7) == _draw(iteration=7, past=100)


def test_every_step_rank_seed_and_stage_draws_its_own():
    draws = [
        _draw(),
        _draw(iteration=1),
        _draw(rank=1),
        _draw(seed=1),
        _draw(call='before_train_epoch'),
    ]
    for generator in zip(*draws, strict=True):
        assert len(set(generator)) == len(draws)
