"""Our recipes do, step by step, what PaddleClas did from the same weights on the same batches.

Recorded in float64 by ``tests/peers/record.py training``: what is left are roundings, and every
setting that is not the peer's shows. The network is small, the recipes are the configs' own.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import PARAM_SCHEDULERS
from short_training import CONFIGS, train
from torch import nn
from training_recipes import RECIPES, batches, start

import mmpretrain_mldecoder  # noqa: F401
from mmpretrain_mldecoder.checkpoints.conversion import convert

RECORD = json.loads((Path(__file__).parents[1] / 'recorded' / 'paddle_training.json').read_text())
SMALL = {
    'model.backbone': dict(_delete_=True, type='ResNetVd', depth=18),
    'model.head.in_channels': RECORD['model']['decoder']['in_channels'],
    'model.head.embed_dims': RECORD['model']['decoder']['embed_dim'],
    'model.head.feedforward_channels': RECORD['model']['decoder']['mlp_hidden_dim'],
}
# Seen: 3e-13. A recipe without its weight decay differs by 1e-7 (AdamW) or 2e-3 (Adam).
LOSS_TOLERANCE = 1e-9
# Seen: up to 1e-6 of running statistics, as Paddle's batch norm takes its momentum in float32.
MOVE_TOLERANCE = 1e-5


def run(name: str, work_dir: Path, num_steps: int = 20, **options):
    """Return the start and a training by the recipe, with ``options`` on top of the small model."""
    conversion = convert(start(RECORD['shapes']))
    arrays = {key: value[:num_steps] for key, value in batches(**RECORD['batches']).items()}
    training = train(
        RECIPES[name].row,
        conversion.state_dict,
        work_dir=work_dir,
        dtype=torch.float64,
        options=SMALL | options,
        **arrays,
    )
    return conversion, training


def difference(ours: list[float], name: str) -> float:
    expected = np.array(RECORD['recipes'][name]['losses'][: len(ours)])
    return float(np.abs(np.array(ours) / expected - 1).max())


@pytest.mark.parametrize('name', RECIPES)
def test_twenty_steps(name, tmp_path):
    conversion, training = run(name, tmp_path)
    expected = RECORD['recipes'][name]
    assert len(training.losses) == 20
    assert difference(training.losses, name) < LOSS_TOLERANCE
    assert training.rates == pytest.approx(expected['rates'][:20], rel=1e-14)  # a rounding
    for kind, moves in training.moves_as_paddle(conversion.state_dict).items():
        for ours, move in moves.items():
            source = conversion.sources[ours]
            # Softmax does not change when all its inputs do: this gradient is 0, and the sign of
            # the rounding error that Adam makes a step of is anybody's.
            if not source.endswith('k_proj.bias'):
                rms = float(move.double().square().mean().sqrt())
                tolerance = dict(rel=MOVE_TOLERANCE, abs=0)
                assert rms == pytest.approx(expected['moves'][kind][source], **tolerance), source
    assert expected['moves']['raw']['fc.query_pos_embed.weight'] == 0  # frozen


@pytest.mark.parametrize('name', RECIPES)
def test_whole_schedule(name):
    config = Config.fromfile(CONFIGS / RECIPES[name].row)
    optimizer = dict(config.optim_wrapper.optimizer)
    wrapper = build_optim_wrapper(nn.Linear(2, 2), dict(optimizer=optimizer))
    schedules = config.param_scheduler
    schedules = [
        PARAM_SCHEDULERS.build(
            # A runner gives OneCycle the epochs.
            ({'end': config.train_cfg.max_epochs} | part),
            default_args=dict(optimizer=wrapper, epoch_length=RECIPES[name].epoch_length),
        )
        for part in (schedules if isinstance(schedules, list) else [schedules])
    ]
    recorded = RECORD['recipes'][name]['schedule']
    rates = []
    for _ in range(recorded['steps'][-1] + 1):
        rates.append(wrapper.get_lr()['lr'][0])
        for schedule in schedules:
            schedule.step()
    assert len(rates) == config.train_cfg.max_epochs * RECIPES[name].epoch_length
    # The host's cosine goes from each rate to the next, and its roundings add up.
    ours = [rates[step] for step in recorded['steps']]
    assert ours == pytest.approx(recorded['rates'], rel=1e-9)


def test_another_setting_shows(tmp_path):
    option = {'optim_wrapper.optimizer.weight_decay': 0.0}
    _, training = run('table', tmp_path, num_steps=4, **option)
    assert difference(training.losses, 'table') > 100 * LOSS_TOLERANCE


@pytest.mark.parametrize(('dtype', 'is_lost'), [(torch.float32, True), (torch.float64, False)])
def test_float32_loses_the_decay_of_448px(dtype, is_lost):
    """AdamW multiplies by ``1 - 1e-4 * 1e-4``, which in float32 is 1: docs/recipe.md."""
    config = Config.fromfile(CONFIGS / RECIPES['448px'].row)
    layer = nn.Linear(20, 20).to(dtype)
    wrapper = build_optim_wrapper(layer, dict(optimizer=config.optim_wrapper.optimizer))
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.zeros_like(layer.weight)
    wrapper.step()
    assert torch.equal(layer.weight, before) == is_lost
