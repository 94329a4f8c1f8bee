"""What a training starts from: nothing, or a checkpoint that it can go on from."""

from pathlib import Path

from mmengine.dist import all_gather_object
from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, CheckpointLoader, Runner

from ..checkpoints.resumable import (
    check_resumable,
    check_resumed_optimizer,
    check_resumed_schedules,
)
from ..checkpoints.resume import find_resume_checkpoint
from .ended_run import RunEnded
from .work_dir_lock import earlier_checkpoints


class ResumingRunner(Runner):
    """``Runner`` that goes on from a whole checkpoint that fits, with its seed, or says why not."""

    def find_start(self) -> None:
        """Find what to go on from, if the training is to be resumed, ahead of the data loaders.

        The random seed becomes that of the checkpoint.

        Raises:
            RunEnded: If the checkpoint is not one of this training (:func:`check_resumable`), or
                the processes find different ones.
        """
        if self._resume:
            self._prepare()
        self._check_same_start()
        if not self._resume:
            self._warn_of_earlier_run()

    def _prepare(self) -> None:
        if self._load_from is None:
            self._load_from = find_resume_checkpoint(self.work_dir)
        if self._load_from is None:
            self.logger.warning(f'Nothing to resume in {self.work_dir}: training starts anew.')
            self._resume = False
            return
        try:
            checkpoint = CheckpointLoader.load_checkpoint(self._load_from, map_location='cpu')
        except ValueError as error:  # of a file that is damaged, or holds something else
            raise RunEnded(str(error)) from error
        schedules = self.param_schedulers or []
        is_one = not isinstance(schedules, list | dict) or 'type' in schedules
        check_resumable(
            checkpoint,
            self._load_from,
            self.model,
            num_schedules=1 if is_one else len(schedules),
            has_average=any(isinstance(hook, EMAHook) for hook in self.hooks),
        )
        seed = checkpoint['meta']['seed']
        if self._randomness_cfg.get('seed') not in (None, seed):
            self.logger.warning(
                f"The run goes on with the checkpoint's seed {seed}, not with that of the config, "
                f'{self._randomness_cfg["seed"]}.'
            )
        self._randomness_cfg.update(seed=seed)
        self.set_randomness(**self._randomness_cfg)

    def _check_same_start(self) -> None:
        # Machines that do not share the work folder find other checkpoints there, or none.
        found = all_gather_object(Path(self._load_from).name if self._resume else 'none')
        if len(set(found)) > 1:
            raise RunEnded(
                'the processes would go on from different checkpoints '
                f'({", ".join(f"{rank}: {name}" for rank, name in enumerate(found))}): '
                f'{self.work_dir} must be one folder for all, or hold the same files everywhere'
            )

    def _warn_of_earlier_run(self) -> None:
        names = earlier_checkpoints(self.work_dir)
        if names:
            more = f' and {len(names) - 5} more' if len(names) > 5 else ''
            self.logger.warning(
                f'{self.work_dir} holds checkpoints of an earlier run, {", ".join(names[:5])}{more}'
                '. This training starts anew and overwrites those of the same names: to go on from '
                'them start it with --resume, to keep them name another --work-dir.'
            )

    def load_checkpoint(self, *args, **kwargs) -> dict:
        checkpoint = super().load_checkpoint(*args, **kwargs)
        built = isinstance(self._train_loop, BaseLoop)  # a test may be told to resume as well
        if self._resume and built and isinstance(self.param_schedulers, list):
            check_resumed_schedules(self.param_schedulers, checkpoint.get('param_schedulers') or [])
        return checkpoint

    def resume(self, *args, **kwargs) -> None:
        super().resume(*args, **kwargs)
        if isinstance(self.optim_wrapper, OptimWrapper):
            check_resumed_optimizer(self.optim_wrapper)
