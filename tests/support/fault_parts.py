"""Parts of a config that make a run go wrong, or slow enough to be met in the middle."""

import os
import time

from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS, TRANSFORMS


@TRANSFORMS.register_module()
class SlowStep(BaseTransform):
    """Let ``seconds`` pass."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def transform(self, results: dict) -> dict:
        time.sleep(self.seconds)
        return results


@HOOKS.register_module()
class NanStep(Hook):
    """Make the images of one step NaN in one process of the run."""

    def __init__(self, step: int, rank: int):
        self.step, self.rank = step, rank

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.step and int(os.environ.get('RANK', 0)) == self.rank:
            data_batch['inputs'] = [image * float('nan') for image in data_batch['inputs']]


@HOOKS.register_module()
class NanWeight(Hook):
    """Make a weight NaN after one step, in one process of the run."""

    def __init__(self, step: int, rank: int):
        self.step, self.rank = step, rank

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.step and int(os.environ.get('RANK', 0)) == self.rank:
            next(runner.model.parameters()).data.fill_(float('nan'))
