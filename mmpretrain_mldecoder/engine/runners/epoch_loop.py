"""A training loop over epochs that goes on at the end of one or in the middle."""

from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import LOOPS

from .train_loop import ResumableLoop


@LOOPS.register_module()
class ResumableEpochLoop(ResumableLoop, EpochBasedTrainLoop):
    """MMEngine's loop over epochs that also goes on in the middle of one.

    Differs from ``EpochBasedTrainLoop`` on resume, see :class:`ResumableLoop`: from a checkpoint
    that was saved in the middle of an epoch, the rest of the epoch follows; a validation that is
    missing runs first.

    ``PortableRunner`` takes this loop for ``train_cfg = dict(by_epoch=True, ...)``; the arguments
    are those of ``EpochBasedTrainLoop``.
    """

    counts = 'epochs'

    def run(self):
        self.runner.call_hook('before_train')
        if self._epoch > 0 and self.steps == 0 and not self.validated:
            self.validate_if_due(self._epoch, self._max_epochs, is_missing=True)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self.validate_if_due(self._epoch, self._max_epochs)
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        self.validated = False
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for idx, data_batch in enumerate(self.batches_after(self.steps), start=self.steps):
            self.steps = idx + 1  # the hooks after the step may save a checkpoint
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.steps = 0
