import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn

from mmpretrain_mldecoder.engine.optimizers.skipping_optim_wrapper import (
    SkippingAmpOptimWrapper,
    SkippingOptimWrapper,
    skipping,
)


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.linear = nn.BatchNorm1d(3), nn.Linear(3, 1)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.linear(self.norm(inputs)).square().sum())


def _train(batches: list, wrapper_type=OptimWrapper, **options) -> dict[str, torch.Tensor]:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    wrapper = wrapper_type(optimizer=optimizer, **options)
    wrapper.initialize_count_status(model, 0, len(batches))
    for batch in batches:
        model.train_step(dict(inputs=batch), wrapper)
    return model.state_dict()


def _batches(num: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, 3, generator=generator) for _ in range(num)]


BAD = torch.full((4, 3), float('nan'))


def test_as_if_the_batch_were_not_there():
    good = _batches(4)
    skipped = _train([*good[:2], BAD, *good[2:]], SkippingOptimWrapper, max_skips=1)
    for name, value in _train(good).items():  # batch norm's statistics are among them
        assert torch.equal(skipped[name], value), name


def test_accumulated_gradients_are_dropped_with_it():
    """With a step every two batches: the pair of the bad one is left out as a whole."""
    a, b, c, d = _batches(4)
    skipped = _train([a, b, c, BAD, d, a], SkippingOptimWrapper, max_skips=1, accumulative_counts=2)
    without = _train([a, b, d, a], accumulative_counts=2)
    for name in ('linear.weight', 'linear.bias', 'norm.weight', 'norm.bias'):
        assert torch.equal(skipped[name], without[name]), name
    # c was in order, so the batch norm has counted it
    assert (skipped['norm.num_batches_tracked'], without['norm.num_batches_tracked']) == (5, 4)


@pytest.mark.parametrize('value', [0, -1, True, 1.5, '3'])
def test_wrong_limit(value):
    optimizer = torch.optim.SGD(Model().parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r'max_skips must be a whole number from 1 on, but got'):
        SkippingOptimWrapper(optimizer=optimizer, max_skips=value)


def test_the_class_that_knows_the_key():
    assert skipping(dict(max_skips=1))['type'] is SkippingOptimWrapper
    assert skipping(dict(type=OptimWrapper, max_skips=1))['type'] is SkippingOptimWrapper
    amp = skipping(dict(type='mmengine.AmpOptimWrapper', max_skips=1, loss_scale='dynamic'))
    assert amp == dict(type=SkippingAmpOptimWrapper, max_skips=1, loss_scale='dynamic')
    with pytest.raises(ValueError, match='but type is ApexOptimWrapper: leave it out'):
        skipping(dict(type='ApexOptimWrapper', max_skips=1))
