import io

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import PARAM_SCHEDULERS

from mmpretrain_mldecoder.engine import PlainOneCycleLR


def _optimizer(lr=1e-4):
    groups = [dict(params=[torch.nn.Parameter(torch.zeros(2))]) for _ in range(2)]
    return torch.optim.Adam(groups, lr=lr)


def _rates(schedule, optimizer, steps):
    rates = []
    for _ in range(steps):
        rates.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize('anneal_strategy', ['cos', 'linear'])
@pytest.mark.parametrize('three_phase', [False, True])
def test_curve_is_that_of_torch(anneal_strategy, three_phase):
    steps = 40 * 25  # epochs of the recipe x steps an epoch
    shape = dict(
        pct_start=0.2,
        anneal_strategy=anneal_strategy,
        three_phase=three_phase,
        div_factor=25.0,
        final_div_factor=4e4,
    )
    ours, theirs = _optimizer(), _optimizer()
    schedule = PlainOneCycleLR(ours, total_steps=steps, by_epoch=False, **shape)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        theirs, max_lr=1e-4, total_steps=steps, cycle_momentum=False, **shape
    )
    rates = torch.tensor(_rates(schedule, ours, steps - 1), dtype=torch.float64)
    expected = torch.tensor(_rates(reference, theirs, steps - 1), dtype=torch.float64)
    torch.testing.assert_close(rates, expected, rtol=1e-12, atol=0)  # a few roundings of doubles
    assert rates.max() == pytest.approx(1e-4)
    assert ours.param_groups[0]['lr'] == pytest.approx(1e-10)  # 1e-4 / 25 / 4e4


@pytest.mark.parametrize('stop', [0, 9, 29])
def test_resumed_equals_unbroken(stop):
    unbroken, broken = _optimizer(), _optimizer()
    expected = _rates(PlainOneCycleLR(unbroken, total_steps=30, by_epoch=False), unbroken, 30)
    schedule = PlainOneCycleLR(broken, total_steps=30, by_epoch=False)
    rates = _rates(schedule, broken, stop)

    # through a file that torch reads without any allow-list
    file = io.BytesIO()
    torch.save(dict(schedule=schedule.state_dict(), optimizer=broken.state_dict()), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = _optimizer()
    schedule = PlainOneCycleLR(resumed, total_steps=30, by_epoch=False)
    resumed.load_state_dict(saved['optimizer'])
    schedule.load_state_dict(saved['schedule'])
    assert rates + _rates(schedule, resumed, 30 - stop) == expected


def test_peak_is_the_optimizer_s_rate_unless_given():
    optimizer = _optimizer(lr=0.5)
    PlainOneCycleLR(optimizer, total_steps=30, div_factor=10.0)
    assert [group['max_lr'] for group in optimizer.param_groups] == [0.5, 0.5]
    assert optimizer.param_groups[0]['lr'] == pytest.approx(0.05)
    PlainOneCycleLR(optimizer, total_steps=30, eta_max=[0.2, 0.1])
    assert [group['max_lr'] for group in optimizer.param_groups] == [0.2, 0.1]


def test_a_rise_of_one_step_is_no_division_by_zero():
    optimizer = _optimizer()
    schedule = PlainOneCycleLR(optimizer, begin=0, end=5, pct_start=0.2, by_epoch=False)
    rates = [rate for rate, _ in _rates(schedule, optimizer, 5)]
    assert rates[0] == pytest.approx(1e-4 / 25)
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[4] == pytest.approx(1e-4 / 25 / 1e4)


def _warmup_rates(config: dict, epoch_length: int, steps: int) -> list[float]:
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
    rates = _warmup_rates(config, epoch_length, length + 3)
    expected = [start_factor + (1 - start_factor) * min(t / length, 1) for t in range(length + 3)]
    assert rates == pytest.approx(expected, rel=1e-12)  # a few roundings of doubles


def test_next_schedule_continues_from_the_peak():
    warmup = dict(type='LinearWarmupLR', start_factor=0.01, begin=0, end=2)
    cosine = dict(type='CosineAnnealingLR', T_max=6, eta_min=0, begin=2, end=8)
    rates = torch.tensor(_warmup_rates([warmup, cosine], 3, 24), dtype=torch.double)
    steps = torch.arange(18, dtype=torch.double)
    torch.testing.assert_close(rates[6:], (1 + torch.cos(torch.pi * steps / 18)) / 2)
    assert rates[5] == pytest.approx(0.01 + 0.99 * 5 / 6)
