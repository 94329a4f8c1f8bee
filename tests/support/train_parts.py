"""Hooks that end or spoil a training."""

from mmengine.hooks import Hook


class Stop(Exception):
    """Ends a training that has passed its checks."""


class StopHook(Hook):
    """End a training before its first step."""

    def before_train(self, runner):
        raise Stop


class Spoil(Hook):
    """Make the images of some steps NaN, as a broken augmentation would."""

    def __init__(self, *steps: int, value: float = float('nan')):
        self.steps, self.value = steps, value

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter in self.steps:
            data_batch['inputs'] = [image * self.value for image in data_batch['inputs']]


class BreakWeight(Hook):
    """A weight that overflows in the last step of an epoch, whose loss was finite."""

    def __init__(self, value: float):
        self.value = value

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 5:
            runner.model.backbone.conv1.weight.data[0] = self.value
