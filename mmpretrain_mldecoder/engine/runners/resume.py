"""Resuming: which checkpoint a training continues from, and whether it fits."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.dist import all_gather_object
from mmengine.hooks import EMAHook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import BaseLoop, CheckpointLoader, Runner
from torch import nn

from ...checkpoints.resume import find_resume_checkpoint
from ...errors import RunError
from .work_dir import earlier_checkpoints


def check_resumable(
    checkpoint: object, source: str, model: nn.Module, num_schedules: int, has_average: bool
) -> None:
    """Raise if a training cannot go on from a checkpoint.

    Args:
        checkpoint (object): What was read.
        source (str): Where from.
        model (nn.Module): As the config builds it, wrapped or not.
        num_schedules (int): Of the config's ``param_scheduler``.
        has_average (bool): Whether the config has a hook that averages the weights.

    Raises:
        RunError: If something is absent that a training saves, weights have other names or shapes,
            or averages are there that the config does not go on with.
    """
    needed = ['state_dict', 'meta', 'message_hub', 'optimizer']
    parts = checkpoint if isinstance(checkpoint, Mapping) else {}
    absent = [part for part in needed if not isinstance(parts.get(part), Mapping)]
    absent += ['param_schedulers'] if num_schedules and not parts.get('param_schedulers') else []
    meta = {} if 'meta' in absent else parts['meta']
    numbers = ('epoch', 'iter', 'seed')
    absent += [f'meta.{key}' for key in numbers if not isinstance(meta.get(key), int)]
    if absent:
        raise RunError(
            f'{source} is not a checkpoint that a training can go on from: it has no '
            f'{", ".join(absent)} (the best ones have weights only). Name an epoch_N.pth or '
            'iter_N.pth; or start a new training from the weights with load_from'
        )
    saved = len(parts.get('param_schedulers') or ())
    if num_schedules and saved != num_schedules:
        raise RunError(
            f'{source} is of a training with {saved} param_scheduler, and the config has '
            f'{num_schedules}: resume with the config of before, or start a new training from the '
            'weights with load_from'
        )
    if 'ema_state_dict' in parts and not has_average:
        raise RunError(
            f'{source} is of a training that averages its weights (ema_state_dict), but the config '
            'has no DualEMAHook: resume with the config of before, or start a new training from '
            'the averages with load_from'
        )
    difference = _difference(model, parts['state_dict'])
    if difference:
        raise RunError(
            f'{source} does not fit the model, so it cannot be resumed: {difference}. Resume with '
            'the config that it was trained with (classes, backbone, head), or start a new '
            'training from the weights with load_from'
        )


def _difference(model: nn.Module, state_dict: Mapping) -> str | None:
    model = model.module if is_model_wrapper(model) else model
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    file = {name.removeprefix('module.'): tuple(v.shape) for name, v in state_dict.items()}
    differing = [name for name in {**own, **file} if own.get(name) != file.get(name)]
    if not differing:
        return None
    name = differing[0]
    return (
        f'{len(differing)} weights differ, the first is {name}, {file.get(name, "absent")} in the '
        f'file and {own.get(name, "absent")} in the model'
    )


def check_resumed_optimizer(wrapper: OptimWrapper) -> None:
    """Raise if an optimiser has taken over the state of one of another kind.

    Raises:
        RunError: If settings that it needs were not in the checkpoint.
    """
    optimizer = wrapper.optimizer
    for group in optimizer.param_groups:
        absent = sorted(optimizer.defaults.keys() - group.keys())
        if absent:
            raise RunError(
                f'the checkpoint is of a training with another optimiser than '
                f'{type(optimizer).__name__}: it has no {", ".join(absent)}. Resume with the '
                'config of before, or start a new training from the weights with load_from'
            )


def check_resumed_schedules(schedules: Sequence[_ParamScheduler], saved: Sequence[Mapping]) -> None:
    """Raise if a schedule is about to take over the state of one of another kind.

    Args:
        schedules (Sequence[_ParamScheduler]): Of the training.
        saved (Sequence[dict]): Their ``state_dict`` in the checkpoint, as many.

    Raises:
        RunError: If settings that one needs are not in the checkpoint.
    """
    for index, (schedule, state) in enumerate(zip(schedules, saved, strict=True)):
        absent = sorted(schedule.state_dict().keys() - state.keys())
        if absent:
            raise RunError(
                'the checkpoint is of a training with another schedule than '
                f'{type(schedule).__name__}, param_scheduler.{index}: it has no '
                f'{", ".join(absent)}. Resume with the config of before, or start a new training '
                'from the weights with load_from'
            )


class ResumingRunner(Runner):
    """``Runner`` that goes on from a whole checkpoint that fits, with its seed, or says why not."""

    def find_start(self) -> None:
        """Find what to go on from, if the training is to be resumed, ahead of the data loaders.

        The random seed becomes that of the checkpoint.

        Raises:
            RunError: If the checkpoint is not one of this training (:func:`check_resumable`), or
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
            raise RunError(str(error)) from error
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
            raise RunError(
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
