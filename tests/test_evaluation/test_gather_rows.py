import pytest
import torch

from mmpretrain_mldecoder.evaluation.metrics.gather import gather_rows


@pytest.mark.parametrize('shape', [(5,), (5, 3), (0, 3), (2, 0)])
def test_one_process_returns_its_rows(shape):
    for dtype in (torch.float32, torch.int8, torch.int64):
        rows = (10 * torch.rand(shape)).to(dtype)
        gathered = gather_rows(rows)
        assert gathered.dtype == dtype
        assert torch.equal(gathered, rows)
