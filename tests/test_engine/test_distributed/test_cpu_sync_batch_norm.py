"""Batch norm over the images of all processes is that of one process with all of them (gloo)."""

import pytest
import torch
from gloo_ranks import in_processes
from torch import nn

from mmpretrain_mldecoder.engine.distributed.cpu_sync_batch_norm import CPUSyncBatchNorm


def norm_gradients(rank, world_size, split, momentum, shape):
    """Gradients of everything, and the running statistics, after a step on this rank's part."""
    torch.manual_seed(0)
    inputs, weights = (torch.randn(7, 3, *shape, dtype=torch.float64) for _ in range(2))
    norm = nn.BatchNorm2d(3, momentum=momentum) if shape else nn.BatchNorm1d(3, momentum=momentum)
    norm = norm.double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
    if world_size > 1:
        norm = CPUSyncBatchNorm.replace_in(nn.SyncBatchNorm.convert_sync_batchnorm(norm))
        assert type(norm) is CPUSyncBatchNorm
    parts = inputs.split(split), weights.split(split)
    for _ in range(2):
        x = parts[0][rank].clone().requires_grad_()
        y = norm(x)
        norm.zero_grad()
        # no sum of the outputs, whose gradient is 0
        (parts[1][rank] * y.sin()).sum().backward()
    state = {name: value.numpy() for name, value in norm.state_dict().items()}
    return dict(
        x=x.grad.numpy(),
        weight=norm.weight.grad.numpy(),
        bias=norm.bias.grad.numpy(),
        y=y.detach().numpy(),
        evaluated=norm.eval()(x).detach().numpy(),
        state=state,
    )


@pytest.mark.parametrize('momentum', [0.1, None])
@pytest.mark.parametrize('shape', [(4, 5), ()])
def test_the_norm_is_that_of_all_images(tmp_path, momentum, shape):
    # 3 and 4 images; float64, so what is left is the order of sums
    (one,) = in_processes(norm_gradients, 1, tmp_path / '1', [7], momentum, shape)
    two = in_processes(norm_gradients, 2, tmp_path / '2', [3, 4], momentum, shape)
    close = dict(rtol=1e-9, atol=1e-11)
    for name in ('x', 'y', 'evaluated'):
        parts = torch.cat([torch.from_numpy(rank[name]) for rank in two])
        torch.testing.assert_close(parts, torch.from_numpy(one[name]), **close)
    for name in ('weight', 'bias'):
        summed = sum(torch.from_numpy(rank[name]) for rank in two)
        torch.testing.assert_close(summed, torch.from_numpy(one[name]), **close)
    for rank in two:
        assert rank['state'].keys() == one['state'].keys()
        for name, value in one['state'].items():
            torch.testing.assert_close(
                torch.from_numpy(rank['state'][name]), torch.from_numpy(value), **close
            )
