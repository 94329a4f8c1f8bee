"""Preemption: save and end when the job scheduler asks for the machine."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from ...checkpoints.resume import name_last_checkpoint
from ...errors import Preempted
from ..distributed.agree import RankVote, on_main_process
from .loops import ResumableLoop

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


@HOOKS.register_module()
class PreemptionHook(Hook):
    """At SIGTERM or SIGUSR1, finish the step, save, and end with status 75.

    All processes hear of it in the vote of each step (:class:`FiniteLossHook`), over gloo, so a
    signal to one of them is enough and no GPU is waited for. While gradients are accumulated, the
    steps up to the update are finished. The checkpoint is ``epoch_N_iter_M.pth`` after N whole
    epochs and M steps in all (N is 0 in a training that counts iterations); ``last_checkpoint``
    names it, ``--resume`` goes on from there, with the weights of an unbroken run at the end. It is
    removed when a later regular checkpoint is there.

    In a validation whose weights have a checkpoint, nothing is saved and the run ends at once; the
    validation runs again on resume. Without such a checkpoint (an interval above 1) the validation
    is finished first. Before the first step the run ends at once. A second signal, two seconds
    after the first or later, ends the process as that signal does by default.

    ``PortableRunner`` adds this hook by itself, and listens during ``train()`` of a
    :class:`ResumableLoop` in the main thread.

    Args:
        vote (RankVote): In which all processes ask something once a step, before this hook acts.
    """

    priority = 'LOWEST'  # the checkpoint holds what all hooks made of the step

    def __init__(self, vote: RankVote):
        self._vote = vote
        self._vote.notice = lambda: self._signal.received is not None
        self._signal = PreemptionSignal(self._end_before_training)
        self._is_training = False
        self._saved_iter: int | None = None
        self._has_new_save = False

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Take the two signals during the block, in the main thread; elsewhere do nothing.

        Raises:
            Preempted: In the block, after a signal.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._signal = PreemptionSignal(self._end_before_training)
        self._signal.catch()
        try:
            yield
        finally:
            self._signal.release()
            self._is_training = False

    def _end_before_training(self) -> None:
        if not self._is_training:
            self._say('nothing is trained yet, so nothing is saved.')
            raise Preempted(all_together=False)

    def before_train(self, runner) -> None:
        self._is_training = self._signal.is_caught
        if self._is_training and not isinstance(runner.train_loop, ResumableLoop):
            self._is_training = False
            self._signal.release()
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
        self._has_new_save = 'optimizer' in checkpoint  # the best ones cannot be resumed from

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self._remove_older(runner)
        if self._is_training and _has_updated(runner.optim_wrapper) and self._vote.noticed:
            self._save(runner, runner.iter + 1)
            self._leave()

    def after_train_epoch(self, runner) -> None:
        self._remove_older(runner)

    def before_val_epoch(self, runner) -> None:
        if self._is_training:
            # Processes with other numbers of batches could not agree after each.
            ranks = all_gather_object(
                (self._saved_iter == runner.iter, len(runner.val_loop.dataloader))
            )
            self._can_leave = ranks[0][0] and len({length for _, length in ranks}) == 1

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._is_training and self._can_leave and self._is_wanted():
            self._leave()

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if self._is_training and self._is_wanted():
            self._save(runner, runner.iter)
            self._leave()

    def _is_wanted(self) -> bool:
        self._vote.any(False)
        return self._vote.noticed

    def _save(self, runner, iteration: int) -> None:
        name = f'epoch_{runner.epoch}_iter_{iteration}.pth'
        meta = dict(epoch=runner.epoch, iter=iteration)
        runner.save_checkpoint(runner.work_dir, name, meta=meta, by_epoch=False)
        # No process leaves before the file is there.
        path = os.path.join(runner.work_dir, name)
        on_main_process(partial(name_last_checkpoint, runner.work_dir, path))
        runner.logger.info(f'Saved {name} after a signal.')

    def _leave(self) -> None:
        self._say('the same command with --resume goes on.')
        raise Preempted(all_together=True)

    def _say(self, what: str) -> None:
        if is_main_process():
            received = self._signal.received
            name = received.name if received else 'a signal to another process'
            print(f'stopped by {name}: {what}', file=sys.stderr, flush=True)

    def _remove_older(self, runner) -> None:
        """Remove the files of former signals, once there is another file to resume from."""
        if self._has_new_save and is_main_process():
            for path in Path(runner.work_dir).glob('epoch_*_iter_*.pth'):
                if re.fullmatch(r'epoch_\d+_iter_\d+', path.stem):
                    path.unlink(missing_ok=True)
        self._has_new_save = False


def _has_updated(optim_wrapper) -> bool:
    """Return whether the last step moved the weights, rather than only gathering gradients."""
    should_update: Callable[[], bool] | None = getattr(optim_wrapper, 'should_update', None)
    return should_update is None or should_update()


class _Undisturbed:
    """``worker_init_fn`` of workers that outlive a signal to all processes, as the step needs them.

    Schedulers and launchers signal workers too. What comes from the process that the worker works
    for still ends it, and so does a second signal.
    """

    def __init__(self, init_fn: Callable[[int], None] | None):
        self.init_fn = init_fn

    def __call__(self, worker_id: int) -> None:
        if hasattr(signal, 'sigwaitinfo'):  # not on macOS
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            threading.Thread(target=_heed_signals, args=(os.getppid(),), daemon=True).start()
        if self.init_fn is not None:
            self.init_fn(worker_id)


def _heed_signals(parent: int) -> None:
    # A handler is not told who sent the signal.
    first = None
    while True:
        info = signal.sigwaitinfo(SIGNALS)
        if info.si_pid == parent:
            os._exit(0)
        if first is None:
            first = time.monotonic()
        elif time.monotonic() - first > SAME_NEWS:
            os._exit(128 + info.si_signo)
