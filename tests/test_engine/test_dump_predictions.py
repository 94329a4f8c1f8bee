import os
import pickle

import pytest

from mmpretrain_mldecoder.engine.dump_predictions import AtomicDumpResults


def test_writes_what_mmengine_writes(tmp_path):
    metric = AtomicDumpResults(str(tmp_path / 'out.pkl'))
    metric.process(None, [dict(sample_idx=0), dict(sample_idx=1)])
    assert metric.evaluate(size=2) == {}
    written = pickle.loads((tmp_path / 'out.pkl').read_bytes())
    assert written == [dict(sample_idx=0), dict(sample_idx=1)]
    assert os.listdir(tmp_path) == ['out.pkl']


def test_other_formats():
    with pytest.raises(ValueError, match='must be a pkl file'):
        AtomicDumpResults('out.json')
