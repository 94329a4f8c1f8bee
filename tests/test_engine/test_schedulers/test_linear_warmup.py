import pytest
import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import PARAM_SCHEDULERS

import mmpretrain_mldecoder  # noqa: F401


def _rates(config: dict, epoch_length: int, steps: int) -> list[float]:
    """Learning rates of a peak of 1, step by step, as the runner builds and steps the schedules."""
    wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=1.0))
    schedules = [
        PARAM_SCHEDULERS.build(
            dict(part, by_epoch=True, convert_to_iter_based=True),
            default_args=dict(optimizer=wrapper, epoch_length=epoch_length),
        )
        for part in config
    ]
    rates = []
    for _ in range(steps):
        (rate,) = wrapper.get_lr()['lr']
        rates.append(rate)
        for schedule in schedules:
            schedule.step()
    return rates


@pytest.mark.parametrize('start_factor', [0.01, 0.5])
@pytest.mark.parametrize(('epochs', 'epoch_length'), [(5, 1), (2, 7), (1, 1)])
def test_arrives_at_the_first_step_after_it(start_factor, epochs, epoch_length):
    config = [dict(type='LinearWarmupLR', start_factor=start_factor, begin=0, end=epochs)]
    length = epochs * epoch_length
    rates = _rates(config, epoch_length, length + 3)
    expected = [start_factor + (1 - start_factor) * min(t / length, 1) for t in range(length + 3)]
    assert rates == pytest.approx(expected, rel=1e-12)  # a few roundings of doubles


def test_the_next_schedule_goes_on_from_the_peak():
    warmup = dict(type='LinearWarmupLR', start_factor=0.01, begin=0, end=2)
    cosine = dict(type='CosineAnnealingLR', T_max=6, eta_min=0, begin=2, end=8)
    rates = torch.tensor(_rates([warmup, cosine], 3, 24), dtype=torch.double)
    steps = torch.arange(18, dtype=torch.double)
    torch.testing.assert_close(rates[6:], (1 + torch.cos(torch.pi * steps / 18)) / 2)
    assert rates[5] == pytest.approx(0.01 + 0.99 * 5 / 6)
