"""What the first process of a run does alone, and all of them hear of."""

from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

from ..runners.ended_run import RunEnded

Result = TypeVar('Result')


def on_main_process(act: Callable[[], Result]) -> Result:
    """Call a function in the first process, and return or raise in all what it does there.

    If the others went on alone, they would wait for it in their next exchange, until something
    ends them without a reason. All processes of a run come here at the same place.

    Args:
        act (Callable): What it returns, or raises, goes through a pickle.

    Raises:
        RunEnded: In the other processes, with the message of an error that is neither a
            :class:`RunEnded` nor an ``OSError``; these are raised in all as they are.
    """
    result = error = None
    if is_main_process():
        try:
            result = act()
        except Exception as raised:
            error = raised
    told = error
    if error is not None and not isinstance(error, RunEnded | OSError):
        told = RunEnded(f'the first process ended: {type(error).__name__}: {error}')
    outcome = [result, told]
    broadcast_object_list(outcome)
    result, told = outcome
    if error is not None or told is not None:
        raise error or told
    return result
