import os
import pickle

import pytest
import torch
from mmpretrain.structures import DataSample

from mmpretrain_mldecoder.evaluation.metrics.dump_results import AtomicDumpResults


def test_writes_what_mmengine_writes_without_the_batch_of_a_row(tmp_path):
    batch = torch.rand(50, 1000)
    metric = AtomicDumpResults(str(tmp_path / 'out.pkl'))
    metric.process(None, [dict(sample_idx=i, pred_score=row) for i, row in enumerate(batch)])
    assert metric.evaluate(size=50) == {}
    assert (tmp_path / 'out.pkl').stat().st_size < 2 * batch.nbytes
    written = pickle.loads((tmp_path / 'out.pkl').read_bytes())
    assert [sample['sample_idx'] for sample in written] == list(range(50))
    assert torch.equal(torch.stack([sample['pred_score'] for sample in written]), batch)
    assert os.listdir(tmp_path) == ['out.pkl']
    with pytest.raises(ValueError, match='must be a pkl file'):
        AtomicDumpResults('out.json')


def test_raw_scores_stand_beside_the_last_batch(tmp_path):
    metric = AtomicDumpResults(str(tmp_path / 'out.pkl'))
    for start in (0, 2):
        indices = (start, start + 1)
        metric.process(None, [dict(sample_idx=i, pred_score=torch.tensor([0.5])) for i in indices])
        metric.add_raw([DataSample().set_pred_score(torch.tensor([i / 8])) for i in indices])
    metric.evaluate(size=4)
    written = pickle.loads((tmp_path / 'out.pkl').read_bytes())
    assert [float(sample['pred_score_raw']) for sample in written] == [0, 1 / 8, 2 / 8, 3 / 8]
    assert [float(sample['pred_score']) for sample in written] == [0.5] * 4
