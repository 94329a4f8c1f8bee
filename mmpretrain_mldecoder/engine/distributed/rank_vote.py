"""A question that all processes of a run answer together, without waiting for their GPUs."""

from collections.abc import Callable

import torch
from torch import distributed


class RankVote:
    """Ask all processes of a run, as often as one likes, whether something is so in any of them.

    The answers travel over gloo, in a group of its own where the run's is of another kind, so no
    GPU is waited for. All processes ask it at the same places of the run. In a run of one process
    nothing travels.

    A notice travels along with each question: what a process may have to tell at any time, and
    what can wait for the next question. So one exchange a step is enough for both.

    Attributes:
        notice (Callable): Whether this process has something to tell. Defaults to "never".
        noticed (bool): Whether a process had, at the last question.
    """

    def __init__(self):
        self.notice: Callable[[], bool] = lambda: False
        self.noticed = False
        self._group: distributed.ProcessGroup | None = None

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is true in one of the processes at least."""
        flags = torch.tensor([flag, self.notice()], dtype=torch.uint8)
        if distributed.is_available() and distributed.is_initialized():
            if self._group is None and distributed.get_backend() != 'gloo':
                self._group = distributed.new_group(backend='gloo')
            distributed.all_reduce(flags, distributed.ReduceOp.MAX, self._group)
        answer, self.noticed = map(bool, flags.tolist())
        return answer
