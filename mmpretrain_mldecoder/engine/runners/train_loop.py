"""A training loop that goes on where it was left, at the end of an epoch or in the middle."""

import itertools
from collections.abc import Iterator

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import HOOKS, LOOPS

from .ended_run import RunEnded


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """MMEngine's loop over epochs that also goes on in the middle of one.

    Differs from ``EpochBasedTrainLoop`` on resume:

    - From a checkpoint that was saved in the middle of an epoch, the rest of the epoch follows. A
      sampler with ``skip_images`` (:class:`SeededSampler`) leaves out the pictures of the steps
      that are done; with another one they are read once more and dropped.
    - A checkpoint of an epoch is written before the epoch's validation. If this was due and is not
      part of the checkpoint, it runs first: same weights, same score, so the record of the best
      score is that of the unbroken run.
    - The number of processes may differ, if the pictures of a step, processes x batch size, are as
      many as before: then each step has the pictures that it would have had. Otherwise the step
      counters and the schedule would not fit, and it raises.

    ``PortableRunner`` takes this loop for ``train_cfg = dict(by_epoch=True, ...)``; the arguments
    are those of ``EpochBasedTrainLoop``.

    Attributes:
        steps (int): Steps of the present epoch that are done.
        validated (bool): Whether the weights at the end of the last epoch were validated.
    """

    steps = 0
    validated = False

    def run(self):
        self.runner.call_hook('before_train')
        if self._epoch > 0 and self.steps == 0 and not self.validated:
            self._validate_if_due('The validation of epoch %d is missing: it runs first.')
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        self.validated = False
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for idx, data_batch in enumerate(self._remaining_batches(), start=self.steps):
            self.steps = idx + 1  # the hooks after the step may save a checkpoint
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.steps = 0

    def position(self) -> dict:
        """Return what a checkpoint needs to be resumed from by any number of processes.

        Returns:
            dict: ``steps`` of the epoch that are done, ``epoch_steps`` of a whole one,
            ``processes``, and ``step_images`` of all of them, 0 if the loader does not tell.
        """
        processes = get_world_size()
        return dict(
            steps=self.steps,
            epoch_steps=len(self.dataloader),
            processes=processes,
            step_images=processes * (self.dataloader.batch_size or 0),
        )

    def go_to(self, position: dict) -> None:
        """Take ``steps`` from the :meth:`position` of a checkpoint.

        Raises:
            RunEnded: If this run has another number of pictures a step or, in the middle of an
                epoch, of steps an epoch.
        """
        own = self.position()
        then, now = position['step_images'], own['step_images']
        processes = own['processes']
        if then != now or (not now and position['processes'] != processes):
            if not then:
                way_out = f'Take as many processes as before, {position["processes"]}'
            elif then % processes:
                way_out = f'Take a number of processes that divides {then}'
            else:
                way_out = f'Set train_dataloader.batch_size={then // processes}'
            raise RunEnded(
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
                raise RunEnded(
                    f'{what}, so that it cannot go on in the middle of one: train with the data '
                    'set of before, or resume from a checkpoint of a whole epoch'
                )
            self.runner.logger.warning(f'{what}: the schedule is still that of before.')
        self.steps = position['steps']

    def _remaining_batches(self) -> Iterator:
        sampler = self.dataloader.sampler
        if hasattr(sampler, 'skip_images'):
            sampler.skip_images(self.steps * self.position()['step_images'])
            return iter(self.dataloader)
        return itertools.islice(self.dataloader, self.steps, None)

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

    ``meta['loop']`` has the :meth:`~ResumableEpochLoop.position` and ``validated``. A checkpoint
    without it, as MMEngine's own loop writes it, counts as one of a whole epoch that was not
    validated.

    ``PortableRunner`` adds this hook by itself.
    """

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        # ahead of CheckpointHook, which writes the checkpoint again if it is the best
        if isinstance(runner._train_loop, ResumableEpochLoop):  # `train_loop` would build it
            runner.train_loop.validated = True

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        loop, meta = runner._train_loop, checkpoint['meta']
        if isinstance(loop, ResumableEpochLoop):
            meta['loop'] = dict(loop.position(), validated=loop.validated)
            if meta['epoch'] > loop.epoch:  # saved after the last step, before the loop counts it
                meta['loop']['steps'] = 0

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        state = checkpoint.get('meta', {}).get('loop')
        if runner._resume and state and isinstance(runner.train_loop, ResumableEpochLoop):
            runner.train_loop.go_to(state)
            runner.train_loop.validated = state['validated']


def _step(images: int, processes: int) -> str:
    plural = 'es' if processes > 1 else ''
    if not images:
        return f'{processes} process{plural} and batches of unknown size'
    return f'{images} pictures a step ({processes} process{plural} x {images // processes})'
