"""Checks of the training settings: batch norms, gradient clipping, hooks, schedules."""

import copy
import inspect
from collections.abc import Sequence, Set
from functools import partial
from numbers import Number

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler import (
    CosineAnnealingParamScheduler,
    OneCycleParamScheduler,
    _ParamScheduler,
)
from mmengine.runner import Runner
from mmpretrain.models import ImageClassifier
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ...errors import ConfigError
from .config_error import near_names


def check_batch_norms(model: ImageClassifier, loader: DataLoader, batch: dict) -> None:
    """Raise if batch norms are trained on single images.

    That is so with ``batch_size=1``; and torch refuses a batch norm on a map of one position if the
    last batch of an epoch holds one image. Norms that do not train (``norm_eval``, frozen
    stages), and synchronised ones of several processes, are passed over.

    Args:
        model (ImageClassifier): In evaluation, without gradients.
        loader (DataLoader): Of the training.
        batch (dict): One image.

    Raises:
        ConfigError: As said.
    """
    batch_size = loader.batch_size
    if batch_size is None or loader.sampler is None:
        return
    last = 0 if loader.drop_last else len(loader.sampler) % batch_size
    if batch_size != 1 and last != 1:
        return
    norms = _trained_norms(model)
    if not norms:
        return
    name = next(iter(norms))
    if batch_size == 1:
        raise ConfigError(
            f'train_dataloader.batch_size = 1: each of the {len(norms)} batch norms of the model '
            f'(first: {name}) would take its mean over one image. Take 2 or more, or keep their '
            'statistics with model.backbone.norm_eval=True'
        )
    alone = _seeing_one_value(model, norms, batch)
    if alone:
        raise ConfigError(
            f'train_dataloader.batch_size = {batch_size}: the last batch of an epoch has 1 of the '
            f'{len(loader.sampler)} images, and {alone} gets one value a channel, which torch '
            'refuses. Take another size, or train_dataloader.drop_last=True'
        )


def _trained_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch norms that a training step would let take a mean over its own batch."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.train()
        return {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) and module.training
            if not isinstance(module, nn.InstanceNorm2d)
            if not (isinstance(module, nn.SyncBatchNorm) and get_world_size() > 1)
        }
    finally:
        for module, mode in modes.items():
            module.training = mode


def _seeing_one_value(model: ImageClassifier, norms: dict, batch: dict) -> str | None:
    found = []

    def look(name, module, inputs):
        if inputs[0].numel() == module.num_features:
            found.append(name)

    handles = [m.register_forward_pre_hook(partial(look, name)) for name, m in norms.items()]
    try:
        inputs = model.data_preprocessor(copy.deepcopy(batch), False)['inputs']
        model(inputs, mode='tensor')
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def check_clip_grad(wrapper: OptimWrapper) -> None:
    """Raise for what the first step would stumble over, or would turn its gradients around for.

    Args:
        wrapper (OptimWrapper): With or without ``clip_grad``.

    Raises:
        ConfigError: If torch's function of clipping does not know a key, misses its limit, or
            cannot use a value. A limit must be above 0.
    """
    options = wrapper.clip_grad_kwargs
    if options is None:
        return
    where, name = 'optim_wrapper.clip_grad', wrapper.clip_func.__name__
    _, limit, *others = inspect.signature(wrapper.clip_func).parameters
    for key, value in options.items():
        if key not in (limit, *others):
            raise ConfigError(
                f'{where}.{key} = {value!r}: {name} takes no argument {key!r}'
                f'{near_names(key, [limit, *others])}. Correct its name or remove it'
            )
    if limit not in options:
        raise ConfigError(f'{where} = {options}: {name} needs {limit}. Add it')
    value = options[limit]
    if isinstance(value, bool) or not isinstance(value, Number) or not value > 0:
        raise ConfigError(f'{where}.{limit} = {value!r}: it must be a number above 0')
    weight = nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    try:
        wrapper.clip_func([weight], **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f'{where} = {options}: {name} says {error}') from error


def check_hook(hook: Hook) -> None:
    """Raise for what a hook would stumble over after the first epoch.

    Raises:
        ConfigError: If an interval is no positive number (-1 is "never"), or a checkpoint hook
            has a key that ``save_checkpoint`` does not know, or keeps no number of checkpoints.
    """
    where = 'default_hooks.checkpoint' if isinstance(hook, CheckpointHook) else type(hook).__name__
    interval = getattr(hook, 'interval', 1)
    if not isinstance(interval, Number) or (interval < 1 and interval != -1):
        raise ConfigError(f'{where}.interval = {interval!r}: it must be at least 1, or -1')
    if isinstance(hook, CheckpointHook):
        kept = hook.max_keep_ckpts
        if not isinstance(kept, int) or isinstance(kept, bool) or (kept < 1 and kept != -1):
            raise ConfigError(
                f'{where}.max_keep_ckpts = {kept!r}: it must be a whole number from 1 on, or -1 '
                'for all'
            )
        saves = set(inspect.signature(Runner.save_checkpoint).parameters)
        own = set(inspect.signature(CheckpointHook.__init__).parameters)
        for key, value in hook.args.items():
            if key not in saves:
                raise ConfigError(
                    f'{where}.{key} = {value!r}: it takes no argument {key!r}'
                    f'{near_names(key, own | saves)}. Correct its name or remove it'
                )


def check_scores(hook: Hook, names: Set[str]) -> None:
    """Raise if a hook waits for a number that no metric gives.

    Args:
        hook (Hook): Any.
        names (Set[str]): All numbers of the validation. With ``DualEMAHook`` those of the raw
            weights, ``coco/mAP_raw``, come on top.

    Raises:
        ConfigError: As said.
    """
    if isinstance(hook, CheckpointHook):
        wanted, where = hook.save_best, 'default_hooks.checkpoint.save_best'
    elif isinstance(hook, EarlyStoppingHook):
        wanted, where = hook.monitor, 'EarlyStoppingHook.monitor'
    else:
        return
    for name in [wanted] if isinstance(wanted, str) else wanted or ():
        if name != 'auto' and name.removesuffix('_raw') not in names:
            raise ConfigError(
                f'{where} = {name!r}, but val_evaluator gives {", ".join(sorted(names))}'
                f'{near_names(name, names)}'
            )


def check_schedules(
    schedulers: Sequence[_ParamScheduler],
    in_epochs: Sequence[bool],
    max_epochs: int | None,
    max_iters: int,
) -> list[str]:
    """Compare built schedules with the length of the training.

    Args:
        schedulers (Sequence[_ParamScheduler]): As the runner has built them.
        in_epochs (Sequence[bool]): Whether the config has their lengths in epochs.
        max_epochs (int, optional): None for a training in iterations.
        max_iters (int): Steps of the whole training.

    Returns:
        list[str]: What is allowed, but rarely meant.

    Raises:
        ConfigError: If a OneCycle ends before the training, which would end in an error then.
    """
    doubts, ends = [], []
    for index, scheduler in enumerate(schedulers):
        if scheduler.by_epoch and max_epochs is None:
            doubts.append(
                f'{type(scheduler).__name__} of param_scheduler counts epochs, and the training '
                'iterations: it stays at its start. Give it by_epoch=False, lengths in iterations'
            )
            continue
        total = max_epochs if scheduler.by_epoch else max_iters
        words = 'epochs' if in_epochs[index] else 'iterations'
        is_converted = in_epochs[index] and not scheduler.by_epoch
        unit = max_iters / max_epochs if is_converted and max_epochs else 1
        where = f'param_scheduler.{index}' if len(schedulers) > 1 else 'param_scheduler'
        name = f'{where} ({type(scheduler).__name__})'
        begin, end = scheduler.begin, min(scheduler.end, total)
        ends.append((scheduler.end / unit, total / unit, words))
        if begin >= total:
            doubts.append(
                f'{name} begins at {begin / unit:g} of {total / unit:g} {words}: it does nothing'
            )
            continue
        length = end - begin
        if isinstance(scheduler, OneCycleParamScheduler):
            steps = scheduler.total_steps
            if steps < length:
                raise ConfigError(
                    f'{where}.total_steps = {steps / unit:g}, but the training has '
                    f'{length / unit:g} {words}: leave total_steps out, the schedule then takes '
                    'all of the training'
                )
            key = 'total_steps'
        elif isinstance(scheduler, CosineAnnealingParamScheduler):
            steps, key = scheduler.T_max, 'T_max'
        else:
            continue
        if steps > length or (steps < length and key == 'T_max'):
            what = 'does not reach its end' if steps > length else 'rises again'
            doubts.append(
                f'{name} has {key}={steps / unit:g}, but runs for {length / unit:g} {words}: the '
                f'rate {what}. Set it to {length / unit:g}'
            )
    if ends and max(ends)[0] < max(ends)[1]:
        end, total, words = max(ends)
        doubts.append(
            f'param_scheduler ends after {end:g} of {total:g} {words}: the learning rate stays as '
            'it is then'
        )
    return doubts
