"""Parts of a config that end a run, make it go wrong, or slow enough to be met in the middle."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS, TRANSFORMS

NAN = float('nan')


class Stop(Exception):
    """Ends a training that has passed its checks."""


class StopHook(Hook):
    """End a training before its first step."""

    def before_train(self, runner):
        raise Stop


@TRANSFORMS.register_module()
class SlowStep(BaseTransform):
    """Let ``seconds`` pass."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def transform(self, results: dict) -> dict:
        time.sleep(self.seconds)
        return results


@HOOKS.register_module()
class Spoil(Hook):
    """Make the images of some steps NaN in one process, as a broken augmentation would."""

    def __init__(self, steps: Sequence[int], value: float = NAN, rank: int = 0):
        self.steps, self.value, self.rank = steps, value, rank

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter in self.steps and runner.rank == self.rank:
            data_batch['inputs'] = [image * self.value for image in data_batch['inputs']]


@HOOKS.register_module()
class BreakWeight(Hook):
    """A weight that overflows after a step, whose loss was finite, in the main process."""

    def __init__(self, step: int = 5, value: float = NAN):
        self.step, self.value = step, value

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.step and runner.rank == 0:
            next(runner.model.parameters()).data[0] = self.value


@HOOKS.register_module()
class SeenImages(Hook):
    """Append a line for each step to the file ``SEEN_IMAGES``: where it is, rate and images."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        names = [Path(sample.img_path).name for sample in data_batch['data_samples']]
        rate = runner.optim_wrapper.get_lr()['lr'][0]
        record = dict(epoch=runner.epoch, iter=runner.iter, names=names, rate=rate)
        with open(os.environ['SEEN_IMAGES'], 'a') as file:
            file.write(json.dumps(record) + '\n')
