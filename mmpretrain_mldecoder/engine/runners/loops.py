"""Training loops that can be resumed at any step."""

import itertools
from collections.abc import Generator, Iterator
from contextlib import closing

from mmengine.dist import get_world_size
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from mmpretrain.registry import LOOPS
from torch.utils.data import DataLoader, Dataset

from ...errors import RunError

LOAD = 'start a new training from the weights with load_from'
RESUME_OR_LOAD = f'Resume with the config that it was trained with, or {LOAD}'


class ResumableLoop(BaseLoop):
    """Mixin over a loop of MMEngine that resumes in the middle of a pass over the data.

    A validation that was due at the checkpoint and did not end runs first on resume. The number of
    processes may change if processes x batch size, the images of a step, stays: then each step has
    the images of the unbroken run. Otherwise it raises.

    Attributes:
        counts (str): What the loop counts and names checkpoints by: ``'epochs'``, ``'iterations'``.
        steps (int): Steps of the present epoch that are done; 0 in a loop by iterations.
        validated (bool): Whether the weights were validated since the last step.
    """

    counts: str
    steps = 0
    validated = False

    def position(self) -> dict:
        """Return where the training is; ``step_images`` is 0 if the loader has no batch size."""
        processes = get_world_size()
        return dict(
            counts=self.counts,
            steps=self.steps,
            epoch_steps=len(self.dataloader),
            processes=processes,
            step_images=processes * (self.dataloader.batch_size or 0),
        )

    def go_to(self, position: dict) -> None:
        """Continue at the :meth:`position` of a checkpoint, or raise if it does not match."""
        own, processes = self.position(), get_world_size()
        if position.get('counts', self.counts) != self.counts:
            raise RunError(
                f'the checkpoint is of a training that counts {position["counts"]}, this one '
                f'counts {self.counts} (train_cfg.by_epoch). {RESUME_OR_LOAD}'
            )
        then, now = position['step_images'], own['step_images']
        if then != now or (not now and position['processes'] != processes):
            fix = f'Set train_dataloader.batch_size={then // processes}'
            if not then:
                fix = f'Use as many processes as before, {position["processes"]}'
            elif then % processes:
                fix = f'Use a number of processes that divides {then}'
            raise RunError(
                f'the checkpoint is of a training with {_step(then, position["processes"])}, this '
                f'one has {_step(now, processes)}: schedule and step counters would not match. '
                f'{fix}, or {LOAD}'
            )
        if position['epoch_steps'] != own['epoch_steps']:
            what = (
                f'an epoch had {position["epoch_steps"]} steps when the checkpoint was written, '
                f'and has {own["epoch_steps"]} now'
            )
            if position['steps']:
                raise RunError(
                    f'{what}, so it cannot be resumed in the middle of one: train with the same '
                    'dataset as before, or resume from the end of an epoch'
                )
            self.runner.logger.warning(f'{what}: the schedule stays the one of the checkpoint.')
        self.steps = position['steps']

    def guessed_position(self, epoch: int, iteration: int) -> dict:
        """Return the :meth:`position` of a checkpoint without one, as MMEngine's runner saves it.

        It raises if ``epoch`` and ``iteration`` contradict each other, with epochs of this length.
        """
        own = self.position()
        if self.counts == 'iterations' and epoch <= 1:  # the whole training counts as one
            return own
        steps = iteration - epoch * own['epoch_steps']
        if self.counts == 'iterations' or not 0 <= steps <= own['epoch_steps']:
            raise RunError(
                f'the checkpoint is of iteration {iteration} after {epoch} epochs, and here an '
                f'epoch has {own["epoch_steps"]} steps and the training counts {self.counts}: keep '
                f'processes, batch size, dataset and train_cfg.by_epoch, or {LOAD}'
            )
        return {**own, 'steps': steps}

    def batches_after(self, steps: int) -> Generator:
        """Yield the batches of the present pass over the data without its first ones.

        They are skipped by a sampler with ``skip_images``, else read and dropped. Workers that the
        garbage collector ends hold it up for 5 s: closed, the generator ends them.
        """
        sampler = self.dataloader.sampler
        if hasattr(sampler, 'skip_images'):
            sampler.skip_images(steps * self.position()['step_images'])
            steps = 0
        yield from itertools.islice(self.dataloader, steps, None)

    def validate_if_due(self, done: int, total: int, is_missing: bool = False) -> None:
        """Validate after ``done`` of ``total`` epochs or iterations, if it is due.

        ``is_missing``: it was due before the run was resumed.
        """
        self._decide_current_val_interval()
        is_due = done % self.val_interval == 0 or done == total
        if self.runner.val_loop is None or done < self.val_begin or not is_due:
            return
        if is_missing:
            self.runner.logger.info(
                f'The validation after {done} {self.counts} is missing: it runs first.'
            )
        self.runner.val_loop.run()


def _step(images: int, processes: int) -> str:
    words = f'{processes} process{"es" if processes > 1 else ""}'
    if not images:
        return f'{words} and batches of unknown size'
    return f'{images} images a step ({words} x {images // processes})'


@LOOPS.register_module()
class ResumableEpochLoop(ResumableLoop, EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that also resumes in the middle of an epoch.

    ``PortableRunner`` uses it for ``train_cfg = dict(by_epoch=True, ...)``; arguments are the same.
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
        with closing(self.batches_after(self.steps)) as batches:
            for idx, data_batch in enumerate(batches, start=self.steps):
                self.steps = idx + 1  # the hooks after the step may save a checkpoint
                self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.steps = 0


@LOOPS.register_module()
class ResumableIterLoop(ResumableLoop, IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that resumes exactly, and without reading what it has seen.

    Each step has the images that it has there: pass after pass, each shuffled again. Differs in:

    - a sampler with ``skip_images`` (:class:`SeededSampler`) is resumed where the training was;
      with another one, such as ``InfiniteSampler``, the earlier batches are read and dropped;
    - workers are started at the first step, and a new pass begins without a pause of 2 s.

    ``PortableRunner`` uses it for ``train_cfg = dict(by_epoch=False, ...)``; arguments are the
    same.
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
        with closing(self._batches()) as batches:
            while self._iter < self._max_iters and not self.stop_training:
                self.validated = False
                self.runner.model.train()
                self.run_iter(next(batches))
                self.validate_if_due(self._iter, self._max_iters)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _batches(self) -> Generator:
        """Return all batches that follow, pass after pass over the data."""
        if hasattr(self.dataloader.sampler, 'skip_images'):
            yield from self._passes(*divmod(self._iter, len(self.dataloader)))
        else:
            if self._iter:
                message = 'Batches of %d iterations are read and dropped.'
                self.runner.logger.info(message, self._iter)
            yield from itertools.islice(self._passes(), self._iter, None)

    def _passes(self, first: int = 0, steps: int = 0) -> Iterator:
        loader = self.dataloader
        for number in itertools.count(first):
            for sampler in (loader.sampler, getattr(loader.batch_sampler, 'sampler', None)):
                if hasattr(sampler, 'set_epoch'):
                    sampler.set_epoch(number)
            yield from self.batches_after(steps)
            steps = 0


class _NotStarted:
    """Stands in for a data loader while MMEngine's loop is built, which would start its workers."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __iter__(self) -> Iterator:
        return iter(())
