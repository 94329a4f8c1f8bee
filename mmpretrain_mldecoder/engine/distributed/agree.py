"""Agreement of all ranks: results of the main process, and votes."""

from collections.abc import Callable
from typing import TypeVar

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from torch import distributed

from ...errors import RunError

Result = TypeVar('Result')


def on_main_process(act: Callable[[], Result]) -> Result:
    """Call a function in the first process, and return or raise in all what it does there.

    If the others went on alone, they would wait for it in their next exchange, until something
    ends them without a reason. All processes of a run come here at the same place.

    Args:
        act (Callable): What it returns, or raises, goes through a pickle.

    Raises:
        RunError: In the other processes, with the message of an error that is neither a
            :class:`RunError` nor an ``OSError``; these are raised in all as they are.
    """
    result = error = None
    if is_main_process():
        try:
            result = act()
        except Exception as raised:
            error = raised
    told = error
    if error is not None and not isinstance(error, RunError | OSError):
        told = RunError(f'the first process ended: {type(error).__name__}: {error}')
    outcome = [result, told]
    broadcast_object_list(outcome)
    result, told = outcome
    if error is not None or told is not None:
        raise error or told
    return result


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
