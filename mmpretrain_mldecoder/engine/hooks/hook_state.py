"""What a resume restores of hooks that save nothing, and a warning of what it does not."""

import inspect
from collections.abc import Iterator

from mmengine.hooks import EarlyStoppingHook, Hook
from mmpretrain.registry import HOOKS

_SEEN_TO = ('mmengine.', 'mmpretrain.', 'mmpretrain_mldecoder.')
_STATE = int | float | list | dict | set | None


@HOOKS.register_module()
class HookStateHook(Hook):
    """Resume ``EarlyStoppingHook`` where it was, and name other hooks that lose their state.

    ``meta['hooks']`` of a checkpoint has the epochs that it waited, and the best score. A hook of
    your own saves what it counts in ``before_save_checkpoint``, and loads it in
    ``after_load_checkpoint``. ``PortableRunner`` adds this hook.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner) -> None:
        from ...datasets.dataset_wrappers import inner_datasets
        from ...datasets.seeded_sampler import SeededSampler, SeededSamplesMixin

        # At the start of a training it is a hint, at a resume it is too late.
        say = runner.logger.warning if runner._resume else runner.logger.info
        loader = runner.train_dataloader
        is_seeded = any(isinstance(d, SeededSamplesMixin) for d in inner_datasets(loader.dataset))
        if isinstance(loader.sampler, SeededSampler) and not is_seeded:
            say(
                f'SeededSampler does not seed the samples of {type(loader.dataset).__name__}, '
                'which was built outside the runner: a resumed training augments them otherwise. '
                'Wrap it in SeededDataset'
            )
        for hook in runner.hooks:
            saves = type(hook).before_save_checkpoint is not Hook.before_save_checkpoint
            state = [] if saves or type(hook).__module__.startswith(_SEEN_TO) else _state(hook)
            if state:
                say(
                    f'{type(hook).__name__} holds {", ".join(state)}, which a resume does not '
                    'restore: save what it needs in its before_save_checkpoint and load it in '
                    'after_load_checkpoint'
                )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint['meta']['hooks'] = {
            key: dict(wait_count=hook.wait_count, best_score=float(hook.best_score))
            for key, hook in _stopping(runner)
        }

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        saved = checkpoint.get('meta', {}).get('hooks', {}) if runner._resume else {}
        for key, hook in _stopping(runner):
            vars(hook).update(saved.get(key, {}))


def _stopping(runner) -> Iterator[tuple[str, EarlyStoppingHook]]:
    for hook in runner.hooks:
        if isinstance(hook, EarlyStoppingHook):
            yield f'{type(hook).__name__}.{hook.monitor}', hook


def _state(hook: Hook) -> list[str]:
    """Return the attributes that may count something: plain values that are no arguments."""
    arguments = inspect.signature(type(hook)).parameters
    return [
        name
        for name, value in vars(hook).items()
        if name.lstrip('_') not in arguments and isinstance(value, _STATE)
    ]
