"""Agreement of ranks: what one does for the others, and votes."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch
from mmengine.dist import all_gather_object, is_main_process
from torch import distributed

from ...errors import ConfigError, RunError

Result = TypeVar('Result')


def on_main_process(act: Callable[[], Result]) -> Result:
    """Call a function on the main process; return or raise on all ranks what it does there.

    What it returns or raises must be picklable. Errors other than ``RunError``, ``ConfigError`` and
    ``OSError`` are a ``RunError`` on the other ranks.
    """
    return _on_some_ranks(act, is_main_process())[0]


def on_each_machine(act: Callable[[], Result]) -> list[Result]:
    """Call a function on the first rank of each machine, and return its result for each rank."""
    return _on_some_ranks(act, is_main_process() or os.environ.get('LOCAL_RANK') == '0')


def _on_some_ranks(act: Callable[[], Result], acts: bool) -> list[Result]:
    result = error = None
    if acts:
        try:
            result = act()
        except Exception as raised:
            error = raised
    shared = error
    if error is not None and not isinstance(error, RunError | ConfigError | OSError):
        shared = RunError(f'another process ended: {type(error).__name__}: {error}')
    outcomes = all_gather_object((acts, result, shared))
    if error is not None:
        raise error
    results: list[Result] = []
    for acted, result, shared in outcomes:
        if shared is not None:
            raise shared
        results.append(result if acted else results[-1])
    return results


class RankVote:
    """Ask all ranks, any number of times, whether something is true on one of them.

    The answers travel over gloo, so no GPU is waited for. All ranks ask at the same places of the
    run. A notice travels along with each question, so one exchange a step is enough.

    Attributes:
        notice (Callable): Whether this rank has a notice.
        noticed (bool): Whether a rank had one at the last question.
    """

    def __init__(self):
        self.notice: Callable[[], bool] = lambda: False
        self.noticed = False
        self._group: distributed.ProcessGroup | None = None

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is true on at least one rank."""
        flags = torch.tensor([flag, self.notice()], dtype=torch.uint8)
        if distributed.is_available() and distributed.is_initialized():
            if self._group is None and distributed.get_backend() != 'gloo':
                self._group = distributed.new_group(backend='gloo')
            distributed.all_reduce(flags, distributed.ReduceOp.MAX, self._group)
        answer, self.noticed = map(bool, flags.tolist())
        return answer
