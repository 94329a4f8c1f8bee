"""Do the hooks get keys and intervals that they can use, and a score that there is?"""

import inspect
from collections.abc import Set
from numbers import Number

from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.runner import Runner

from .config_mistake import ConfigMistake, near_names


def check_hook(hook: Hook) -> None:
    """Raise for what a hook would stumble over after the first epoch.

    Raises:
        ConfigMistake: If an interval is no positive number (-1 is "never"), or a checkpoint hook
            has a key that ``save_checkpoint`` does not know, or keeps no number of checkpoints.
    """
    where = 'default_hooks.checkpoint' if isinstance(hook, CheckpointHook) else type(hook).__name__
    interval = getattr(hook, 'interval', 1)
    if not isinstance(interval, Number) or (interval < 1 and interval != -1):
        raise ConfigMistake(f'{where}.interval = {interval!r}: it must be at least 1, or -1')
    if isinstance(hook, CheckpointHook):
        kept = hook.max_keep_ckpts
        if not isinstance(kept, int) or isinstance(kept, bool) or (kept < 1 and kept != -1):
            raise ConfigMistake(
                f'{where}.max_keep_ckpts = {kept!r}: it must be a whole number from 1 on, or -1 '
                'for all'
            )
        saves = set(inspect.signature(Runner.save_checkpoint).parameters)
        own = set(inspect.signature(CheckpointHook.__init__).parameters)
        for key, value in hook.args.items():
            if key not in saves:
                raise ConfigMistake(
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
        ConfigMistake: As said.
    """
    if isinstance(hook, CheckpointHook):
        wanted, where = hook.save_best, 'default_hooks.checkpoint.save_best'
    elif isinstance(hook, EarlyStoppingHook):
        wanted, where = hook.monitor, 'EarlyStoppingHook.monitor'
    else:
        return
    for name in [wanted] if isinstance(wanted, str) else wanted or ():
        if name != 'auto' and name.removesuffix('_raw') not in names:
            raise ConfigMistake(
                f'{where} = {name!r}, but val_evaluator gives {", ".join(sorted(names))}'
                f'{near_names(name, names)}'
            )
