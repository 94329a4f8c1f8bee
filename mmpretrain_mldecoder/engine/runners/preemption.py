"""Preemption: save and end when the job scheduler asks for the machine."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from ...checkpoints.resume import name_last_checkpoint
from ...errors import Preempted
from ..distributed import RankVote, on_main_process
from .loops import ResumableLoop

SIGNALS = signal.SIGTERM, signal.SIGUSR1
# A scheduler signals a launcher and all its processes, and the launcher signals them again.
SAME_SIGNAL_SECONDS = 2.0
_CONTINUE = 'the same command with --resume continues'


@HOOKS.register_module()
class PreemptionHook(Hook):
    """At SIGTERM or SIGUSR1, finish the step, save a checkpoint, and end with status 75.

    All ranks hear of it in the vote of each step (:class:`FiniteLossHook`), over gloo: a signal to
    one of them is enough, and no GPU is waited for. While gradients are accumulated, the steps up
    to the update are finished. The checkpoint is ``epoch_N_iter_M.pth`` after N epochs and M steps
    in all (N is 0 in a training by iterations); ``last_checkpoint`` names it, and ``--resume``
    continues from it. :class:`DurableCheckpointHook` removes it when there is a later one.

    In a validation whose weights are saved, the run ends at once, and the validation runs again on
    resume; else (an interval above 1) the validation is finished first. Before the first step the
    run ends at once. A second signal, two seconds later or more, acts by default.

    ``PortableRunner`` adds this hook, and listens during ``train()`` of a :class:`ResumableLoop` in
    the main thread. All ranks ask by the ``vote`` once a step, before this hook acts.
    """

    priority = 'LOWEST'  # the checkpoint holds what all hooks made of the step

    def __init__(self, vote: RankVote):
        self._vote = vote
        vote.notice = lambda: self._received is not None
        self._received: signal.Signals | None = None
        self._handlers: dict[int, object] = {}  # the earlier ones, while this hook listens
        self._is_training = False
        self._saved_iter: int | None = None

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Catch the two signals during the block, which then raises :class:`Preempted`."""
        self._received = None
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield
        finally:
            self._stop_listening()

    def _stop_listening(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers, self._is_training = {}, False

    def _receive(self, number: int, frame) -> None:
        now = time.monotonic()
        if self._received is None:
            self._received, self._time = signal.Signals(number), now
            if not self._is_training:
                raise self._preempted('nothing is trained yet, so nothing is saved', together=False)
        elif now - self._time > SAME_SIGNAL_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def before_train(self, runner) -> None:
        if not isinstance(runner.train_loop, ResumableLoop):
            self._stop_listening()
        self._is_training = bool(self._handlers)
        if not self._is_training:
            return
        for loop in filter(None, (runner.train_loop, runner.val_loop)):
            if not isinstance(loop.dataloader.worker_init_fn, _Undisturbed):
                loop.dataloader.worker_init_fn = _Undisturbed(loop.dataloader.worker_init_fn)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            self._saved_iter = checkpoint.get('meta', {}).get('iter')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        self._saved_iter = checkpoint['meta']['iter']

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        # Otherwise gradients are accumulated, which no checkpoint holds.
        has_updated = getattr(runner.optim_wrapper, 'should_update', lambda: True)()
        if self._is_training and has_updated and self._vote.noticed:
            self._save(runner, runner.iter + 1)
            raise self._preempted(_CONTINUE, together=True)

    def before_val_epoch(self, runner) -> None:
        if self._is_training:
            # Processes with other numbers of batches could not agree after each.
            ranks = all_gather_object(
                (self._saved_iter == runner.iter, len(runner.val_loop.dataloader))
            )
            self._can_leave = ranks[0][0] and len({length for _, length in ranks}) == 1

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._is_training and self._can_leave and self._is_wanted():
            raise self._preempted(_CONTINUE, together=True)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if self._is_training and self._is_wanted():
            self._save(runner, runner.iter)
            raise self._preempted(_CONTINUE, together=True)

    def _is_wanted(self) -> bool:
        self._vote.any(False)
        return self._vote.noticed

    def _save(self, runner, iteration: int) -> None:
        name = f'epoch_{runner.epoch}_iter_{iteration}.pth'
        meta = dict(epoch=runner.epoch, iter=iteration)
        runner.save_checkpoint(runner.work_dir, name, meta=meta, by_epoch=False)
        # No rank leaves before the file is there.
        path = os.path.join(runner.work_dir, name)
        on_main_process(partial(name_last_checkpoint, runner.work_dir, path))
        runner.logger.info(f'Saved {name} after a signal.')

    def _preempted(self, what: str, together: bool) -> Preempted:
        name = self._received.name if self._received else 'a signal to another process'
        message = f'stopped by {name}: {what}.' if is_main_process() else ''
        return Preempted(message, all_together=together)


class _Undisturbed:
    """``worker_init_fn`` of workers that survive a signal to all processes, as the step needs them.

    A signal of their own process still ends them, and so does a second one.
    """

    def __init__(self, init_fn: Callable[[int], None] | None):
        self.init_fn = init_fn

    def __call__(self, worker_id: int) -> None:
        if hasattr(signal, 'sigwaitinfo'):  # not on macOS
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            threading.Thread(target=_end_at_signals, args=(os.getppid(),), daemon=True).start()
        if self.init_fn is not None:
            self.init_fn(worker_id)


def _end_at_signals(parent: int) -> None:
    first = None  # not by a handler, which is not told who sent the signal
    while True:
        info = signal.sigwaitinfo(SIGNALS)
        if info.si_pid == parent:
            os._exit(0)
        if first is None:
            first = time.monotonic()
        elif time.monotonic() - first > SAME_SIGNAL_SECONDS:
            os._exit(128 + info.si_signo)
