"""Is a checkpoint one that this training can go on from?

MMEngine goes on with what fits: weights of another shape are left out with a warning, an absent
optimiser state starts anew, and averaged weights are trained on where the config has no average.
Each of these is another training than the one that was interrupted, so here it is an error.
"""

from collections.abc import Mapping, Sequence

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, _ParamScheduler
from torch import nn

from ..runners.ended_run import RunEnded


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
        RunEnded: If something is absent that a training saves, weights have other names or shapes,
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
        raise RunEnded(
            f'{source} is not a checkpoint that a training can go on from: it has no '
            f'{", ".join(absent)} (the best ones have weights only). Name an epoch_N.pth or '
            'iter_N.pth; or start a new training from the weights with load_from'
        )
    saved = len(parts.get('param_schedulers') or ())
    if num_schedules and saved != num_schedules:
        raise RunEnded(
            f'{source} is of a training with {saved} param_scheduler, and the config has '
            f'{num_schedules}: resume with the config of before, or start a new training from the '
            'weights with load_from'
        )
    if 'ema_state_dict' in parts and not has_average:
        raise RunEnded(
            f'{source} is of a training that averages its weights (ema_state_dict), but the config '
            'has no DualEMAHook: resume with the config of before, or start a new training from '
            'the averages with load_from'
        )
    difference = _difference(model, parts['state_dict'])
    if difference:
        raise RunEnded(
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
        RunEnded: If settings that it needs were not in the checkpoint.
    """
    optimizer = wrapper.optimizer
    for group in optimizer.param_groups:
        absent = sorted(optimizer.defaults.keys() - group.keys())
        if absent:
            raise RunEnded(
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
        RunEnded: If settings that one needs are not in the checkpoint.
    """
    for index, (schedule, state) in enumerate(zip(schedules, saved, strict=True)):
        absent = sorted(schedule.state_dict().keys() - state.keys())
        if absent:
            raise RunEnded(
                'the checkpoint is of a training with another schedule than '
                f'{type(schedule).__name__}, param_scheduler.{index}: it has no '
                f'{", ".join(absent)}. Resume with the config of before, or start a new training '
                'from the weights with load_from'
            )
