"""One process's error on all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import all_gather_object


@contextmanager
def fail_together() -> Iterator[None]:
    """Raise on every process what the block raises on one, in place of leaving the others to wait.

    The first rank's error is taken if there are several. Every process must come by, and the block
    must not talk to other processes: one that has failed would not answer.

    Raises:
        ValueError: If the block has raised one, here or elsewhere.
    """
    error = None
    try:
        yield
    except ValueError as raised:
        error = raised
    messages = all_gather_object(None if error is None else str(error))
    first = next((message for message in messages if message is not None), None)
    if first is not None:
        raise ValueError(first) from error
