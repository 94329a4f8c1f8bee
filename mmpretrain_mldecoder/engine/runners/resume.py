"""Exact resuming: the checkpoint to resume from, what it must hold, and the seeds of a step."""

import inspect
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import EarlyStoppingHook, EMAHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, CheckpointLoader, Runner
from mmengine.utils import apply_to
from mmpretrain.registry import HOOKS
from torch import nn

from ...checkpoints.load import is_archive
from ...checkpoints.resume import find_damage, find_resume_checkpoint
from ...errors import ConfigError, RunError
from ...fileio.terminal import listed
from ..distributed import on_each_machine, unwrapped
from .loops import LOAD, RESUME_OR_LOAD, ResumableLoop
from .work_dir import earlier_checkpoints


class ResumingRunner(Runner):
    """``Runner`` that resumes from a complete checkpoint that matches, or says why not.

    ``resume='auto'``, or ``resume=True`` without ``load_from``, resumes from the newest complete
    checkpoint of the work dir. Without one the training starts as the config says, ``load_from``
    included. The first rank of each machine compares the file with its checksums.
    """

    _resumed: dict | None = None  # loaded, until the model gets its weights

    def find_start(self) -> None:
        """Load the checkpoint to resume from, if any, before data loaders are built with its seed.

        Raises :class:`ConfigError` if it is damaged, :class:`RunError` if it does not match the
        training or machines find different ones.
        """
        found = self._find_checkpoint() if self._resume else None
        if found is not None:
            self._load_from, self._resume = found, True
            self._load_start(found)
            return
        self._resume = False
        if names := earlier_checkpoints(self.work_dir):
            self.logger.warning(
                f'{self.work_dir} holds checkpoints of an earlier run, {listed(names, 5)}. This '
                'new training overwrites those of the same names: add --resume to continue the '
                'earlier run, or another --work-dir to keep them.'
            )

    def _find_checkpoint(self) -> str | None:
        found = on_each_machine(self._find_on_this_machine)
        names = [Path(path).name if path else 'none' for path in found]
        if len(set(names)) > 1:
            raise RunError(
                'the processes would resume from different checkpoints '
                f'({", ".join(f"{rank}: {name}" for rank, name in enumerate(names))}): '
                f'{self.work_dir} must be one folder for all, or hold the same files everywhere'
            )
        if found[get_rank()] is None:
            self.logger.warning(f'Nothing to resume in {self.work_dir}: a new training starts.')
        return found[get_rank()]

    def _find_on_this_machine(self) -> str | None:
        try:
            if self._resume == 'auto' or self._load_from is None:
                return find_resume_checkpoint(self.work_dir)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        # What is no archive has no checksums; loading it says what it is.
        if is_archive(self._load_from) and (damage := find_damage(self._load_from)):
            raise ConfigError(f'{damage}. Name another checkpoint')
        return self._load_from

    def _load_start(self, path: str) -> None:
        try:
            checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
        except ValueError as error:  # of a file that is damaged, or holds something else
            raise ConfigError(f'{str(error).rstrip(".")}. Name another checkpoint') from error
        schedules = self.param_schedulers or []
        is_one = not isinstance(schedules, list | dict) or 'type' in schedules
        num_schedules = 1 if is_one else len(schedules)
        has_average = any(isinstance(hook, EMAHook) for hook in self.hooks)
        self._resumed = check_resumable(checkpoint, path, self.model, num_schedules, has_average)
        seed, own = checkpoint['meta']['seed'], self._randomness_cfg.get('seed')
        if own not in (None, seed):
            self.logger.warning(
                f"The run continues with the checkpoint's seed {seed}, not the config's, {own}."
            )
        self._randomness_cfg.update(seed=seed)
        self.set_randomness(**self._randomness_cfg)

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load weights into the model; a checkpoint to resume is not read again."""
        if self._resumed is None:
            return super().load_checkpoint(filename, *args, **kwargs)
        checkpoint, self._resumed = self._resumed, None
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        unwrapped(self.model).load_state_dict(checkpoint['state_dict'])
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint


def check_resumable(
    checkpoint: object, source: str, model: nn.Module, num_schedules: int, has_average: bool
) -> dict:
    """Raise :class:`RunError` if a training cannot be resumed from what was loaded from ``source``.

    Compared are ``model``, wrapped or not, the number of the config's ``param_scheduler``, and
    whether a hook averages the weights. Returns the checkpoint, ``module.`` removed from the names.
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
            f'{source} cannot be resumed from: it has no {", ".join(absent)} (the best checkpoints '
            f'have weights only). Name an epoch_N.pth or iter_N.pth; or {LOAD}'
        )
    saved = len(parts.get('param_schedulers') or ())
    if num_schedules and saved != num_schedules:
        raise RunError(
            f'{source} is of a training with {saved} param_scheduler, and the config has '
            f'{num_schedules}. {RESUME_OR_LOAD}'
        )
    if 'ema_state_dict' in parts and not has_average:
        raise RunError(
            f'{source} is of a training that averages its weights (ema_state_dict), but the config '
            f'has no DualEMAHook. {RESUME_OR_LOAD}'
        )
    weights = {name.removeprefix('module.'): v for name, v in parts['state_dict'].items()}
    own = {name: tuple(value.shape) for name, value in unwrapped(model).state_dict().items()}
    file = {name: tuple(value.shape) for name, value in weights.items()}
    differing = [name for name in {**own, **file} if own.get(name) != file.get(name)]
    if differing:
        name = differing[0]
        raise RunError(
            f'{source} does not match the model: {len(differing)} weights differ, the first is '
            f'{name}, {file.get(name, "absent")} in the file and {own.get(name, "absent")} in the '
            f'model (classes, backbone or head). {RESUME_OR_LOAD}'
        )
    return {**parts, 'state_dict': weights}


@HOOKS.register_module()
class ResumeHook(Hook):
    """Save what an exact resume needs, as plain data, and restore it.

    - ``meta['loop']`` is the :meth:`~ResumableLoop.position` of the training, and whether it was
      validated there. Without it, as MMEngine's own loops save, the position follows from the
      numbers of epochs and iterations, and the checkpoint counts as not validated.
    - Log histories are saved as tensors and numpy numbers as Python's, so that the checkpoint opens
      with plain ``torch.load``. (MMEngine's ``Runner`` resumes it with empty log histories.)
    - The state of another kind of optimiser or schedule is refused.
    - ``meta['hooks']`` has what ``EarlyStoppingHook`` has waited, and its best score. A hook of a
      user saves what it counts in ``before_save_checkpoint``, and loads it in
      ``after_load_checkpoint``; one that does not is named.

    ``PortableRunner`` adds this hook.
    """

    priority = 'LOW'  # before CheckpointHook, which saves again what validation finds to be best

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if isinstance(runner._train_loop, ResumableLoop):  # `train_loop` would build it
            runner.train_loop.validated = True

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        loop, meta = runner._train_loop, checkpoint['meta']
        if isinstance(loop, ResumableLoop):
            meta['loop'] = dict(loop.position(), validated=loop.validated)
            if meta['epoch'] > loop.epoch:  # saved after the last step, before the loop counts it
                meta['loop']['steps'] = 0
        meta['hooks'] = {
            key: dict(wait_count=hook.wait_count, best_score=float(hook.best_score))
            for key, hook in _stopping(runner)
        }
        logs = apply_to(
            checkpoint['message_hub'], lambda x: isinstance(x, np.generic), lambda x: x.item()
        )
        for name, log in logs['log_scalars'].items():
            values, counts = map(torch.from_numpy, log.data)
            history = dict(values=values, counts=counts, max_length=log.max_length)
            logs['log_scalars'][name] = history
        checkpoint['message_hub'] = logs

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        scalars = checkpoint['message_hub'].get('log_scalars', {})
        for name, history in scalars.items():
            if isinstance(history, dict):
                values, counts = (history[key].cpu().numpy() for key in ('values', 'counts'))
                scalars[name] = HistoryBuffer(values, counts, history['max_length'])
        if not isinstance(runner._train_loop, BaseLoop):  # a test may be asked to resume as well
            return
        if isinstance(runner.param_schedulers, list):
            saved = checkpoint.get('param_schedulers') or []
            pairs = zip(runner.param_schedulers, saved, strict=True)
            for index, (schedule, state) in enumerate(pairs):
                name = f'schedule than {type(schedule).__name__}, param_scheduler.{index}'
                own = schedule.state_dict()
                _check_settings(name, own, state)
                for key in _LENGTHS & own.keys():
                    if own[key] != state[key]:
                        runner.logger.warning(
                            f'param_scheduler.{index} continues with {key} = {state[key]} of the '
                            f'checkpoint, not {own[key]} of the config: the learning rate is that '
                            'of the training that is resumed, and stays where it ends. To train '
                            f'longer, {LOAD}'
                        )
        loop, meta = runner._train_loop, checkpoint['meta']
        for key, hook in _stopping(runner):
            vars(hook).update(meta.get('hooks', {}).get(key, {}))
        if isinstance(loop, ResumableLoop):
            state = meta.get('loop') or loop.guessed_position(meta['epoch'], meta['iter'])
            loop.go_to(state)
            loop.validated = state.get('validated', False)

    def before_train(self, runner) -> None:
        # At the start of a training it is a hint, at a resume it is too late.
        say = runner.logger.warning if runner._resume else runner.logger.info
        for hook in runner.hooks:
            if state := _lost_state(hook):
                say(
                    f'{type(hook).__name__} holds {", ".join(state)}, which a resume does not '
                    'restore: save what it needs in its before_save_checkpoint and load it in '
                    'after_load_checkpoint'
                )
        if runner._resume and isinstance(runner.optim_wrapper, OptimWrapper):
            optimizer = runner.optim_wrapper.optimizer
            for group in optimizer.param_groups:  # those of the checkpoint, by now
                name = f'optimiser than {type(optimizer).__name__}'
                _check_settings(name, optimizer.defaults, group)


def _stopping(runner) -> Iterator[tuple[str, EarlyStoppingHook]]:
    for hook in runner.hooks:
        if isinstance(hook, EarlyStoppingHook):
            yield f'{type(hook).__name__}.{hook.monitor}', hook


def _lost_state(hook: Hook) -> list[str]:
    """Return the attributes of a user's hook that may count something, unless it saves them.

    These are plain values that are no arguments.
    """
    own = type(hook)
    saves = own.before_save_checkpoint is not Hook.before_save_checkpoint
    if saves or own.__module__.startswith(('mmengine.', 'mmpretrain.', 'mmpretrain_mldecoder.')):
        return []
    arguments, plain = inspect.signature(own).parameters, int | float | list | dict | set | None
    return [
        name
        for name, value in vars(hook).items()
        if name.lstrip('_') not in arguments and isinstance(value, plain)
    ]


# How long a schedule takes, in steps: part of its state, so a resume does not change it.
_LENGTHS = {'T_max', 'end', 'total_steps'}


def _check_settings(name: str, own: Mapping, saved: Mapping) -> None:
    absent = sorted(own.keys() - saved.keys())
    if absent:
        raise RunError(
            f'the checkpoint is of a training with another {name}: it has no {", ".join(absent)}. '
            f'{RESUME_OR_LOAD}'
        )


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seed ``random``, ``numpy.random`` and torch (all devices) before each training step.

    The seeds follow from (the runner's seed, iteration, rank), so dropout, batch augmentation and
    the like draw the same numbers in an unbroken run and in a resumed one. They are also set at the
    start of an epoch, for samples that are made in the main process. ``SeededSampler`` sees to
    augmentation in worker processes.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        self._seed_all(runner, stage=0)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        self._seed_all(runner, stage=1)

    @staticmethod
    def _seed_all(runner, stage: int) -> None:
        mixed = np.random.SeedSequence((runner.seed, runner.rank, runner.iter, stage))
        python_seed, numpy_seed, torch_seed = mixed.generate_state(3).tolist()
        random.seed(python_seed)
        np.random.seed(numpy_seed)
        torch.manual_seed(torch_seed)
