"""A row's training of a few steps on given batches, by the runner, to compare with a peer's.

Dropout, augmentation and mixed precision are off; the rest is what the row's config says.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmpretrain_mldecoder.engine import DualEMAHook, PortableRunner

CONFIGS = Path(__file__).parents[2] / 'configs'

# MMEngine keeps one log and message hub for each experiment name and second.
_experiments = (f'short{number}' for number in itertools.count())


@dataclass
class Training(Hook):
    """What a training did: a hook that writes it down, and ends it with the batches.

    Attributes:
        losses, rates (list[float]): Of each step.
        raw, ema (dict[str, Tensor]): State dicts afterwards.
        num_values (dict[str, int]): Values of a channel that each batch norm sees in a step.
    """

    num_steps: int
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    raw: dict[str, Tensor] = field(default_factory=dict)
    ema: dict[str, Tensor] = field(default_factory=dict)
    num_values: dict[str, int] = field(default_factory=dict)
    priority = 'LOWEST'

    def before_train(self, runner):
        for name, module in runner.model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_hook(partial(self._count, name))

    def _count(self, name, module, inputs, output):
        self.num_values[name] = output.numel() // module.num_features

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        (rate,) = set(runner.optim_wrapper.get_lr()['lr'])  # one for both parameter groups
        self.rates.append(rate)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'].item())
        runner.train_loop.stop_training = len(self.losses) == self.num_steps

    def after_train(self, runner):
        self.hook = next(hook for hook in runner.hooks if isinstance(hook, DualEMAHook))
        self.raw = {k: v.cpu() for k, v in runner.model.state_dict().items()}
        self.ema = {k: v.cpu() for k, v in self.hook.ema_model.module.state_dict().items()}

    def moves_as_paddle(self, start: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Return what was added to each tensor of ``raw`` and ``ema``, in Paddle's convention.

        Paddle's running variance takes a batch's sum of squares over n, torch's over n - 1. Both
        are linear in what is taken and in the start, whose share they keep is the same.
        """
        kept, share = 1.0, {'raw': 1.0, 'ema': 1.0}
        for _ in range(self.num_steps):
            kept *= 0.9
            decay = 1 - self.hook.ema_model.momentum
            share = {'raw': kept, 'ema': decay * share['ema'] + (1 - decay) * kept}
        moves = {}
        for kind, state in (('raw', self.raw), ('ema', self.ema)):
            moves[kind] = {name: state[name] - value for name, value in start.items()}
            for norm, n in self.num_values.items():
                name = f'{norm}.running_var'
                taken = state[name] - share[kind] * start[name]
                moves[kind][name] = share[kind] * start[name] + (n - 1) / n * taken - start[name]
        return moves


class _InOrder:
    """Sampler of all images in their order, ``length`` of them an epoch."""

    def __init__(self, num_images: int, length: int):
        self.indices, self.length = iter(range(num_images)), length

    def __len__(self):
        return self.length

    def __iter__(self):
        return itertools.islice(self.indices, self.length)


def train(
    row: str,
    state_dict: Mapping[str, Tensor],
    images: np.ndarray,
    targets: np.ndarray,
    work_dir: Path,
    dtype: torch.dtype = torch.float32,
    epoch_length: int = 1,
    options: Mapping | None = None,
) -> Training:
    """Train one step a batch by ``configs/{row}``, from the weights ``state_dict``.

    ``images`` are normalised, ``(S, B, 3, H, W)``, and ``targets`` 0 or 1, ``(S, B, C)``. With an
    ``epoch_length`` of 1, a few steps see a good part of the schedule. ``options`` differ from the
    row, as with ``--cfg-options``.
    """
    config = Config.fromfile(CONFIGS / row)
    config.merge_from_dict(
        {'model.backbone.init_cfg': None, 'model.head.drop_rate': 0.0} | dict(options or {})
    )
    model = MODELS.build(config.model).to(dtype)
    # The images come as the network takes them; MMPretrain's own makes them float32.
    model.data_preprocessor = BaseDataPreprocessor()
    num_steps, batch_size = targets.shape[:2]
    images = torch.from_numpy(images).flatten(0, 1).to(dtype)
    scores = torch.from_numpy(targets).flatten(0, 1)

    def collate(indices):
        samples = [DataSample().set_gt_score(scores[index].to(dtype)) for index in indices]
        return dict(inputs=images[indices], data_samples=samples)

    start = work_dir / 'start.pth'
    torch.save(dict(state_dict=dict(state_dict)), start)
    training = Training(num_steps=num_steps)
    runner = PortableRunner(
        cfg=dict(channels_last=config.channels_last),
        model=model,
        work_dir=str(work_dir),
        experiment_name=next(_experiments),
        train_dataloader=DataLoader(
            range(num_steps * batch_size),
            batch_size,
            sampler=_InOrder(num_steps * batch_size, epoch_length * batch_size),
            collate_fn=collate,
        ),
        train_cfg=config.train_cfg,
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=config.optim_wrapper.optimizer,
            constructor=config.optim_wrapper.constructor,
        ),
        param_scheduler=config.param_scheduler,
        default_hooks=dict(checkpoint=None),
        custom_hooks=[*config.custom_hooks, training],
        randomness=config.randomness,
        default_scope=config.default_scope,
        load_from=str(start),
        log_level='WARNING',
    )
    runner.train()
    return training
