import pytest
import torch

from mmpretrain_mldecoder.evaluation.metrics import gather_rows as module


@pytest.mark.parametrize('chunk_bytes', [1, 64, 2**20])
@pytest.mark.parametrize('shape', [(5,), (5, 3), (0, 3), (2, 0)])
def test_one_process_returns_its_rows(shape, chunk_bytes, monkeypatch):
    monkeypatch.setattr(module, '_CHUNK_BYTES', chunk_bytes)
    for dtype in (torch.float32, torch.int8, torch.int64):
        rows = (10 * torch.rand(shape)).to(dtype)
        gathered = module.gather_rows(rows)
        assert gathered.dtype == dtype
        assert torch.equal(gathered, rows)
