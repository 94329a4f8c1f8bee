"""Check a config at the start of a run, when all parts are built and nothing is computed."""

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class ConfigCheckHook(Hook):
    """Raise :class:`ConfigMistake` at the start of a training or test, not after an epoch.

    Parts are compared with each other: classes of head, preprocessor and datasets; ``topk``; the
    kind of head and metric; ``save_best`` and the metric's numbers; the length of schedule and
    training. And a classifier gets one picture of each loader, which shows whether channels, sizes
    and the fields that a metric reads fit. That changes nothing: the picture is made under a seed
    of its own, the model is in evaluation mode, metrics are copies.

    Differences that may be meant are warnings in the log. ``check_config = False`` in the config
    leaves all of this out.

    ``PortableRunner`` adds this hook by itself.
    """

    priority = 'HIGHEST'

    def before_run(self, runner) -> None:
        if runner.cfg.get('check_config', True):
            from .start_checks import check_start  # imports models and metrics: heavy

            check_start(runner)
