"""Random numbers of a training step that follow from the step, not from the run's past."""

import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seed ``random``, ``numpy.random`` and torch (all devices) before each training step.

    The seeds follow from (the runner's seed, iteration, rank). So dropout, batch augmentation and
    the like draw the same numbers in an unbroken run and in one resumed at that iteration, and
    each rank draws its own. They are also set at the start of an epoch, for what is drawn before
    its first step, such as samples that are made in the main process.

    Augmentation in worker processes is not reached from here: ``SeededSampler`` sees to it.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        self._seed_all(runner, stage=0)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        self._seed_all(runner, stage=1)

    @staticmethod
    def _seed_all(runner, stage: int) -> None:
        mixed = np.random.SeedSequence((runner.seed, runner.rank, runner.iter, stage))
        python_seed, numpy_seed, torch_seed = mixed.generate_state(3).tolist()
        random.seed(python_seed)
        np.random.seed(numpy_seed)
        torch.manual_seed(torch_seed)
