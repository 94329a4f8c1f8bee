"""Checks of training settings: loop, hooks, gradient clipping, schedules."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from numbers import Number

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.optim.scheduler import (
    CosineAnnealingParamScheduler,
    OneCycleParamScheduler,
    _ParamScheduler,
)
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...errors import ConfigError
from ...fileio.near_names import near_names
from ...models.losses import EpochLoss
from .config_error import unknown_argument
from .dry_run import in_mode

# Schedules that have a length of their own, beside begin and end.
_LENGTHS = {CosineAnnealingParamScheduler: 'T_max', OneCycleParamScheduler: 'total_steps'}


def check_training(runner: Runner, loop: BaseLoop, validates: bool) -> Iterator[str]:
    """Check the settings of a training, and yield a warning for each of those that may be meant."""
    loader, counts_epochs = loop.dataloader, hasattr(loop, 'run_epoch')
    if not len(loader):
        raise ConfigError(
            f'train_dataloader gives no batch: it has {len(loader.dataset)} images, batch_size = '
            f'{loader.batch_size} and drop_last = {loader.drop_last}. Use a smaller batch_size, or '
            'drop_last=False'
        )
    if validates and getattr(loop, 'val_interval', 1) < 1:
        raise ConfigError(f'train_cfg.val_interval = {loop.val_interval}: it must be at least 1')
    yield from check_recomputed_norms(
        runner.model, runner.cfg.get('activation_checkpointing') or ()
    )
    for module in runner.model.modules():
        if isinstance(module, EpochLoss) and not counts_epochs:
            yield (
                f'{type(module).__name__} changes with the epoch, and a training by iterations has '
                'one: all unknown labels stay negatives. Set train_cfg.by_epoch to True'
            )
    scale = runner.cfg.get('auto_scale_lr') or {}
    images = get_world_size() * (loader.batch_size or 0)
    if images and not scale.get('enable') and scale.get('base_batch_size', images) != images:
        runner.logger.info(
            f'A step has {images} images, and the learning rate is for {scale["base_batch_size"]}: '
            'auto_scale_lr does nothing without --auto-scale-lr (enable=True)'
        )
    for hook in runner.hooks:
        check_hook(hook)
        if isinstance(hook, EMAHook):
            yield from check_average(hook, loop.max_iters)
        if isinstance(hook, CheckpointHook) and hook.by_epoch and not counts_epochs:
            yield (
                'default_hooks.checkpoint.by_epoch is True, but the training counts iterations: '
                'the only checkpoint is saved at its end. Set by_epoch to False, and interval to a '
                'number of iterations'
            )
        if getattr(hook, 'save_best', None) and not validates:
            yield 'There is no validation: no checkpoint is kept as the best (save_best)'
    schedules = runner.param_schedulers
    if isinstance(runner.optim_wrapper, OptimWrapper):
        check_clip_grad(runner.optim_wrapper)
        config = runner.cfg.get('optim_wrapper') or {}
        yield from check_paramwise(runner.model, config, schedules)
    configs = runner.cfg.get('param_scheduler')
    configs = configs if isinstance(configs, list) else [configs]
    if isinstance(schedules, list) and len(configs) == len(schedules) and all(configs):
        max_epochs = loop.max_epochs if counts_epochs else None
        yield from check_schedules(schedules, configs, max_epochs, loop.max_iters)


def check_hook(hook: Hook) -> None:
    """Raise for what a hook would fail at after the first epoch."""
    where = 'default_hooks.checkpoint' if isinstance(hook, CheckpointHook) else type(hook).__name__
    interval = getattr(hook, 'interval', 1)
    if not isinstance(interval, Number) or (interval < 1 and interval != -1):
        raise ConfigError(f'{where}.interval = {interval!r}: it must be at least 1, or -1')
    if not isinstance(hook, CheckpointHook):
        return
    kept = hook.max_keep_ckpts
    if not isinstance(kept, int) or isinstance(kept, bool) or (kept < 1 and kept != -1):
        raise ConfigError(
            f'{where}.max_keep_ckpts = {kept!r}: it must be an integer of at least 1, or -1 for all'
        )
    saves = inspect.signature(Runner.save_checkpoint).parameters
    names = {*saves, *inspect.signature(CheckpointHook).parameters}
    for key, value in hook.args.items():
        if key not in saves:
            raise ConfigError(unknown_argument(f'{where}.{key}', value, type(hook).__name__, names))


def check_average(hook: EMAHook, max_iters: int) -> Iterator[str]:
    """Yield a warning if the first weights are more than 5 % of an average at the end."""
    momentum, steps = hook.ema_cfg.get('momentum', 0.0002), max_iters - max(hook.begin_iter, 0)
    share = (1 - momentum) ** steps
    if share <= 0.05 or hook.ema_cfg['type'] != 'ExponentialMovingAverage':
        return
    # 1 % at the end; one digit, rounded away from a decay of 1
    better = min(float(f'{1 - 0.01 ** (1 / max(steps, 1)):.1g}'), 0.9)
    where = type(hook).__name__
    key = f'decay={1 - better:g}' if hasattr(hook, 'test_weights') else f'momentum={better:g}'
    yield (
        f'{where} averages over about {1 / momentum:.0f} steps and the training has {max_iters}: '
        f'{share:.0%} of its scores and checkpoints are the weights of the start. Set {key} in '
        'custom_hooks'
    )


def check_recomputed_norms(model: nn.Module, recomputed: Sequence[str] = ()) -> Iterator[str]:
    """Yield a warning of batch norms that a step sees twice, as their inputs are computed twice.

    That is so below a module with ``with_cp=True``, or one that ``activation_checkpointing`` names.
    """
    with in_mode(model, training=True):  # where norm_eval acts
        norms = {
            f'{name}.{below}': norm
            for name, module in model.named_modules()
            if name in recomputed or getattr(module, 'with_cp', False) is True
            for below, norm in module.named_modules()
            if isinstance(norm, _BatchNorm) and norm.training and norm.momentum == 0.1
            if norm.track_running_stats
        }
    if norms:
        yield (
            f'with_cp or activation_checkpointing updates the statistics of {len(norms)} batch '
            f'norms twice a step (first: {next(iter(norms))}). Set model.backbone.norm_cfg to '
            "dict(type='BN', momentum=0.0513), which twice is 0.1 once, or norm_eval to True"
        )


def check_clip_grad(wrapper: OptimWrapper) -> None:
    """Raise for what the first step would fail at; a limit below 0 would reverse the gradients."""
    options = wrapper.clip_grad_kwargs
    if options is None:
        return
    clip, weight = wrapper.clip_func, nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    try:
        clip([weight], **options)
    except (TypeError, ValueError, RuntimeError) as error:
        what = f'{clip.__name__} raises {error}'
        raise ConfigError(f'optim_wrapper.clip_grad = {options}: {what}') from error
    if not weight.grad > 0:
        raise ConfigError(f'optim_wrapper.clip_grad = {options}: the limit must be above 0')


def check_paramwise(model: nn.Module, config: Mapping, schedules: object) -> Iterator[str]:
    """Yield warnings of a ``paramwise_cfg`` (in the ``config`` of a wrapper) that acts not as set.

    ``schedules`` are those of a runner; they may have the last word about the rates.
    """
    where = 'optim_wrapper.paramwise_cfg'
    options = config.get('paramwise_cfg') or {}
    custom = options.get('custom_keys') or {}
    names = [name for name, _ in model.named_parameters()]
    for key in custom:
        if not any(key in name for name in names):
            near = near_names(key, {part for name in names for part in name.split('.')})
            yield (
                f'{where}.custom_keys has {key!r}, which is in the name of no parameter{near}: it '
                'does nothing'
            )
    layers = 'layer_decay_rate'
    constructor = config.get('constructor', DefaultOptimWrapperConstructor)
    name = getattr(constructor, '__name__', constructor)
    if layers in options and name.endswith(DefaultOptimWrapperConstructor.__name__):
        yield (
            f'{where}.{layers} does nothing with {name}: set optim_wrapper.constructor to '
            "'NoDecay1DConstructor'"
        )
    keys = {key for part in (options, *custom.values()) for key in part}
    found = sorted(key for key in keys if 'lr_mult' in key or key == layers)
    for schedule in schedules if isinstance(schedules, list) else ():
        is_cycle = isinstance(schedule, OneCycleParamScheduler)
        if found and is_cycle and isinstance(schedule.eta_max, Number):
            yield (
                f'param_scheduler.eta_max = {schedule.eta_max:g} is the peak of all parameter '
                f'groups, so {found[0]} in {where} does nothing. Remove eta_max and set '
                "param_scheduler.type to 'PlainOneCycleLR'"
            )


def check_schedules(
    schedules: Sequence[_ParamScheduler],
    configs: Sequence[Mapping],
    max_epochs: int | None,
    max_iters: int,
) -> Iterator[str]:
    """Compare built schedules with the length of the training.

    ``max_epochs`` is None for a training in iterations. Lengths in ``configs`` may be in epochs
    (``convert_to_iter_based``). Yields warnings of what is allowed, but rarely meant; raises for a
    OneCycle that ends before the training, which would then end in an error.
    """
    ends = []
    for index, (schedule, config) in enumerate(zip(schedules, configs, strict=True)):
        where = f'param_scheduler.{index}' if len(schedules) > 1 else 'param_scheduler'
        name = f'{where} ({type(schedule).__name__})'
        if schedule.by_epoch and max_epochs is None:
            yield (
                f'{name} counts epochs, but the training counts iterations: the schedule stays at '
                'its start. Set by_epoch=False and lengths in iterations'
            )
            continue
        # Messages give lengths in the unit of the config.
        in_epochs = max_epochs is not None and config.get('by_epoch', True)
        words = 'epochs' if in_epochs else 'iterations'
        unit = max_iters / max_epochs if in_epochs and not schedule.by_epoch else 1
        total = max_epochs if schedule.by_epoch else max_iters
        length = min(schedule.end, total) - schedule.begin
        ends.append((schedule.end / total, schedule.end / unit, total / unit, words))
        if length <= 0:
            begin = f'{schedule.begin / unit:g} of {total / unit:g} {words}'
            yield f'{name} begins at {begin}: it does nothing'
            continue
        key = next((key for kind, key in _LENGTHS.items() if isinstance(schedule, kind)), None)
        steps = getattr(schedule, key) if key else length
        if isinstance(schedule, OneCycleParamScheduler) and steps < length:
            raise ConfigError(
                f'{where}.total_steps = {steps / unit:g}, but the training has {length / unit:g} '
                f'{words}: remove total_steps, and the schedule takes all of the training'
            )
        if steps != length:
            what = 'does not reach its end' if steps > length else 'rises again'
            yield (
                f'{name} has {key}={steps / unit:g}, but runs for {length / unit:g} {words}: the '
                f'learning rate {what}. Set it to {length / unit:g}'
            )
    if ends and max(ends)[0] < 1:
        _, end, total, words = max(ends)
        yield (
            f'param_scheduler ends after {end:g} of {total:g} {words}: the learning rate stays as '
            'it is then'
        )
