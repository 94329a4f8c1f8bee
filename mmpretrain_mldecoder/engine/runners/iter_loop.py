"""A training loop that counts iterations, and goes on after any of them."""

import itertools
from collections.abc import Iterator

from mmengine.runner import BaseLoop, IterBasedTrainLoop
from mmpretrain.registry import LOOPS
from torch.utils.data import DataLoader, Dataset

from .train_loop import ResumableLoop


@LOOPS.register_module()
class ResumableIterLoop(ResumableLoop, IterBasedTrainLoop):
    """MMEngine's loop over iterations that resumes exactly and without reading what it has seen.

    Each step has the pictures that it has in ``IterBasedTrainLoop``: pass after pass over the data,
    each one shuffled anew. Differs from it in:

    - a sampler with ``skip_images`` (:class:`SeededSampler`) is resumed in the pass and at the
      picture where the training was. With another one, also with an ``InfiniteSampler``, the
      batches of before are read and dropped, as by ``IterBasedTrainLoop``;
    - a validation that is missing runs first on resume, see :class:`ResumableLoop`;
    - workers are started at the first step, and a new pass begins without a pause of 2 s.

    ``PortableRunner`` takes this loop for ``train_cfg = dict(by_epoch=False, ...)``; the arguments
    are those of ``IterBasedTrainLoop``.
    """

    counts = 'iterations'

    def __init__(self, runner, dataloader: DataLoader | dict, *args, **kwargs):
        BaseLoop.__init__(self, runner, dataloader)
        loader = self.dataloader
        super().__init__(runner, _NotStarted(loader.dataset), *args, **kwargs)
        self.dataloader = loader

    def run(self):
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')  # the whole training counts as one
        if self._iter > 0 and not self.validated:
            self.validate_if_due(self._iter, self._max_iters, is_missing=True)
        batches = self._batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.validated = False
            self.runner.model.train()
            self.run_iter(next(batches))
            self.validate_if_due(self._iter, self._max_iters)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _batches(self) -> Iterator:
        """Return all batches that follow, pass after pass over the data."""
        if hasattr(self.dataloader.sampler, 'skip_images'):
            return self._passes(*divmod(self._iter, len(self.dataloader)))
        if self._iter:
            self.runner.logger.info('Batches of %d iterations are read and dropped.', self._iter)
        return itertools.islice(self._passes(), self._iter, None)

    def _passes(self, first: int = 0, steps: int = 0) -> Iterator:
        loader = self.dataloader
        for number in itertools.count(first):
            for sampler in (loader.sampler, getattr(loader.batch_sampler, 'sampler', None)):
                if hasattr(sampler, 'set_epoch'):
                    sampler.set_epoch(number)
            yield from self.batches_after(steps)
            steps = 0


class _NotStarted:
    """In the place of a data loader while the host's loop is built, which would start its workers.

    They are to be started when the hooks have prepared them, and on the pass that is resumed.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __iter__(self) -> Iterator:
        return iter(())
