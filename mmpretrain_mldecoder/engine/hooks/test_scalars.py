"""Metrics of a test, for the trackers that have those of the validations."""

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class TestScalarsHook(Hook):
    """Give the metrics of a test to the visualizer; MMEngine writes them to the log only.

    Their names start with ``test/``; the step is the epoch of the checkpoint, or its iteration if
    the training counted those. ``PortableRunner`` adds this hook.
    """

    __test__ = False  # for pytest
    priority = 'LOW'  # after the hooks that add metrics

    def __init__(self):
        self._step = 0

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        meta = checkpoint.get('meta') or {}
        self._step = int(meta.get('epoch') or meta.get('iter') or 0)

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        numbers = {f'test/{name}': value for name, value in (metrics or {}).items()}
        runner.visualizer.add_scalars(numbers, step=self._step)
