"""A training loop that a run goes on in where it was left, whether at an epoch's end or in it."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import HOOKS, LOOPS


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """MMEngine's loop over epochs that also makes up for the validation that a stop cut off.

    A checkpoint of an epoch is written before the epoch's validation. When a run goes on from one
    whose validation was due and is not part of it, this validation runs first: same weights, same
    score, so the record of the best score is that of the unbroken run.

    ``PortableRunner`` takes this loop for ``train_cfg = dict(by_epoch=True, ...)``; the arguments
    are those of ``EpochBasedTrainLoop``.

    Attributes:
        validated (bool): Whether the weights at the end of the last epoch were validated.
    """

    validated = False

    def run(self):
        self.runner.call_hook('before_train')
        if self._epoch > 0 and not self.validated:
            self._validate_if_due('The validation of epoch %d is missing: it runs first.')
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        self.validated = False
        super().run_epoch()

    def _validate_if_due(self, message: str | None = None) -> None:
        self._decide_current_val_interval()
        is_due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self.runner.val_loop is None or self._epoch < self.val_begin or not is_due:
            return
        if message is not None:
            self.runner.logger.info(message, self._epoch)
        self.runner.val_loop.run()


@HOOKS.register_module()
class LoopStateHook(Hook):
    """Write into each checkpoint where in its training it was saved, and read it on resume.

    ``meta['loop']`` has ``validated`` of :class:`ResumableEpochLoop`. A checkpoint without it, as
    MMEngine's own loop writes it, counts as one that was not validated.

    ``PortableRunner`` adds this hook by itself.
    """

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        # ahead of CheckpointHook, which writes the checkpoint again if it is the best
        if isinstance(runner._train_loop, ResumableEpochLoop):  # `train_loop` would build it
            runner.train_loop.validated = True

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if isinstance(runner._train_loop, ResumableEpochLoop):
            checkpoint['meta']['loop'] = dict(validated=runner.train_loop.validated)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume and isinstance(runner.train_loop, ResumableEpochLoop):
            state = checkpoint.get('meta', {}).get('loop', {})
            runner.train_loop.validated = state.get('validated', False)
