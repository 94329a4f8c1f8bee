"""The signals by which a job scheduler asks for its machine."""

import os
import signal
import time
from collections.abc import Callable

# On Windows there is only the first.
SIGNALS = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGUSR1') if hasattr(signal, name))

SAME_NEWS = 2.0  # seconds


class PreemptionSignal:
    """Handler that notes the first signal, and lets a second one act as it does by default.

    What comes within two seconds is the same news: a scheduler signals a launcher and all its
    processes, and the launcher signals them again.

    Args:
        at_first (Callable, optional): Called in the handler at the first signal.

    Attributes:
        received (signal.Signals, optional): The first signal; None before.
    """

    def __init__(self, at_first: Callable[[], None] | None = None):
        self.at_first = at_first
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    @property
    def is_caught(self) -> bool:
        """Whether the handler is in place."""
        return bool(self._before)

    def catch(self) -> None:
        """Put the handler in place; only in the main thread."""
        self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def release(self) -> None:
        """Put the handlers of before in place."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _receive(self, number: int, frame) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._time = signal.Signals(number), now
            if self.at_first is not None:
                self.at_first()
        elif now - self._time > SAME_NEWS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
