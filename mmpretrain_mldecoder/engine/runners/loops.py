"""Training loops that resume anywhere in a pass over the data."""

import itertools
from collections.abc import Iterator

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from mmpretrain.registry import HOOKS, LOOPS
from torch.utils.data import DataLoader, Dataset

from ...errors import RunError


class ResumableLoop(BaseLoop):
    """Mixin over a loop of MMEngine's that goes on from the middle of a pass over the data.

    - A checkpoint is written before the validation that is due then. If that is not part of the
      checkpoint, it runs first on resume: same weights, same score, so the record of the best
      score is that of the unbroken run.
    - The number of processes may differ, if the images of a step, processes x batch size, are as
      many as before: then each step has the images that it would have had. Otherwise the step
      counters and the schedule would not fit, and it raises.

    Attributes:
        counts (str): What the loop counts and the checkpoints are named by, ``'epochs'`` or
            ``'iterations'``.
        steps (int): Steps of the present epoch that are done, 0 in a loop that counts iterations.
        validated (bool): Whether the weights were validated since the last step.
    """

    counts: str
    steps = 0
    validated = False

    def position(self) -> dict:
        """Return what a checkpoint needs to be resumed from by any number of processes.

        Returns:
            dict: ``counts``, ``steps`` of the epoch that are done, ``epoch_steps`` of a whole one,
            ``processes``, and ``step_images`` of all of them, 0 if the loader does not tell.
        """
        processes = get_world_size()
        return dict(
            counts=self.counts,
            steps=self.steps,
            epoch_steps=len(self.dataloader),
            processes=processes,
            step_images=processes * (self.dataloader.batch_size or 0),
        )

    def go_to(self, position: dict) -> None:
        """Take ``steps`` from the :meth:`position` of a checkpoint.

        Raises:
            RunError: If this run counts something else, or has another number of images a step
                or, in the middle of an epoch, of steps an epoch.
        """
        own = self.position()
        if position.get('counts', self.counts) != self.counts:
            raise RunError(
                f'the checkpoint is of a training that counts {position["counts"]}, this one '
                f'counts {self.counts} (train_cfg.by_epoch): resume it with the config of before, '
                'or start a new training from the weights with load_from'
            )
        then, now = position['step_images'], own['step_images']
        processes = own['processes']
        if then != now or (not now and position['processes'] != processes):
            if not then:
                way_out = f'Take as many processes as before, {position["processes"]}'
            elif then % processes:
                way_out = f'Take a number of processes that divides {then}'
            else:
                way_out = f'Set train_dataloader.batch_size={then // processes}'
            raise RunError(
                f'the checkpoint is of a training with {_step(then, position["processes"])}, this '
                f'one has {_step(now, processes)}: its schedule and step counters would not fit. '
                f'{way_out}, or start a new training from the weights with load_from'
            )
        if position['epoch_steps'] != own['epoch_steps']:
            what = (
                f'an epoch had {position["epoch_steps"]} steps when the checkpoint was written, '
                f'and has {own["epoch_steps"]} now'
            )
            if position['steps']:
                raise RunError(
                    f'{what}, so that it cannot go on in the middle of one: train with the data '
                    'set of before, or resume from a checkpoint of a whole epoch'
                )
            self.runner.logger.warning(f'{what}: the schedule is still that of before.')
        self.steps = position['steps']

    def guessed_position(self, epoch: int, iteration: int) -> dict:
        """Return the :meth:`position` of a checkpoint that has none, as MMEngine's have.

        Args:
            epoch (int): Whole epochs that are done, at most 1 where iterations were counted.
            iteration (int): Steps that are done.

        Raises:
            RunError: If the two do not fit each other, with epochs of this length.
        """
        own = self.position()
        if self.counts == 'iterations' and epoch <= 1:
            return own
        steps = iteration - epoch * own['epoch_steps']
        if self.counts == 'iterations' or not 0 <= steps <= own['epoch_steps']:
            raise RunError(
                f'the checkpoint is of iteration {iteration} after {epoch} epochs, and here an '
                f'epoch has {own["epoch_steps"]} steps and the training counts {self.counts}: take '
                'processes, batch size, data set and train_cfg.by_epoch of before, or start a new '
                'training from the weights with load_from'
            )
        return {**own, 'steps': steps}

    def batches_after(self, steps: int) -> Iterator:
        """Return the batches of the present pass over the data without its first ones.

        A sampler with ``skip_images`` (:class:`SeededSampler`) leaves their images out; with
        another one they are read and dropped.
        """
        sampler = self.dataloader.sampler
        if hasattr(sampler, 'skip_images'):
            sampler.skip_images(steps * self.position()['step_images'])
            return iter(self.dataloader)
        return itertools.islice(self.dataloader, steps, None)

    def validate_if_due(self, done: int, total: int, is_missing: bool = False) -> None:
        """Validate after ``done`` of ``total`` epochs or iterations, if it is time for it.

        Args:
            done (int): Epochs or iterations, whatever the loop counts.
            total (int): Of the whole training.
            is_missing (bool): Whether it was due before this run. Defaults to False.
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


@HOOKS.register_module()
class LoopStateHook(Hook):
    """Write into each checkpoint where in its training it was saved, and read it on resume.

    ``meta['loop']`` has the :meth:`~ResumableLoop.position` and ``validated``. A checkpoint without
    it, as MMEngine's own loops write it, counts as one that was not validated, of the position that
    follows from its numbers of epochs and iterations.

    ``PortableRunner`` adds this hook by itself.
    """

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        # ahead of CheckpointHook, which writes the checkpoint again if it is the best
        if isinstance(runner._train_loop, ResumableLoop):  # `train_loop` would build it
            runner.train_loop.validated = True

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        loop, meta = runner._train_loop, checkpoint['meta']
        if isinstance(loop, ResumableLoop):
            meta['loop'] = dict(loop.position(), validated=loop.validated)
            if meta['epoch'] > loop.epoch:  # saved after the last step, before the loop counts it
                meta['loop']['steps'] = 0

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        loop = runner._train_loop  # `train_loop` would build it, in a test too
        if not runner._resume or not isinstance(loop, ResumableLoop):
            return
        meta = checkpoint['meta']
        state = meta.get('loop') or loop.guessed_position(meta['epoch'], meta['iter'])
        loop.go_to(state)
        loop.validated = state.get('validated', False)


def _step(images: int, processes: int) -> str:
    plural = 'es' if processes > 1 else ''
    if not images:
        return f'{processes} process{plural} and batches of unknown size'
    return f'{images} images a step ({processes} process{plural} x {images // processes})'


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


@LOOPS.register_module()
class ResumableIterLoop(ResumableLoop, IterBasedTrainLoop):
    """MMEngine's loop over iterations that resumes exactly and without reading what it has seen.

    Each step has the images that it has in ``IterBasedTrainLoop``: pass after pass over the data,
    each one shuffled anew. Differs from it in:

    - a sampler with ``skip_images`` (:class:`SeededSampler`) is resumed in the pass and at the
      image where the training was. With another one, also with an ``InfiniteSampler``, the
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
