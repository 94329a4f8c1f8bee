"""Does the learning rate's schedule last as long as the training?"""

from collections.abc import Sequence

from mmengine.optim.scheduler import (
    CosineAnnealingParamScheduler,
    OneCycleParamScheduler,
    _ParamScheduler,
)

from .config_mistake import ConfigMistake


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
        ConfigMistake: If a OneCycle ends before the training, which would end in an error then.
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
                raise ConfigMistake(
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
