"""A question that all processes of a run answer together, without waiting for their GPUs."""

import torch
from torch import distributed


class RankVote:
    """Ask all processes of a run, as often as one likes, whether something is so in any of them.

    The answers travel over gloo, in a group of its own where the run's is of another kind, so no
    GPU is waited for. All processes make their vote, and ask it, at the same places of the run. In
    a run of one process nothing travels.
    """

    def __init__(self):
        self._is_alone = not (distributed.is_available() and distributed.is_initialized())
        self._group = None
        if not self._is_alone and distributed.get_backend() != 'gloo':
            self._group = distributed.new_group(backend='gloo')

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is true in one of the processes at least."""
        if self._is_alone:
            return flag
        vote = torch.tensor(int(flag))
        distributed.all_reduce(vote, distributed.ReduceOp.MAX, self._group)
        return bool(vote)
