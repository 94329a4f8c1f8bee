import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.fileio import dump
from prediction_dumps import random_run, write_dump

from mmpretrain_mldecoder.analysis.report import read_predictions


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', [2, 3, 4])
def test_reads_every_protocol(tmp_path, protocol):
    """MMEngine writes protocol 2, older files of this package too."""
    batch = torch.rand(3, 5)
    sample = dict(
        pred_score=batch[1],
        gt_label=torch.tensor([0, 4]),
        half=batch[0].half()[::2],
        no_label=torch.tensor([], dtype=torch.int64),
        areas=np.array([1.5, 2], np.float32),
        none=np.array([], np.int64),
        table=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        names=np.array(['ä', 'bc']),
        big_endian=np.array([1, 2], '>i4'),
        number=np.float64(0.25),
        img_path='a/ü.jpg',
        shape=(3, 4),
        flag=True,
        nothing=None,
    )
    dump([sample], tmp_path / 'a.pkl', protocol=protocol)
    (read,) = read_predictions(tmp_path / 'a.pkl')
    assert read.keys() == sample.keys()
    for key, value in sample.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(read[key], value) and read[key].dtype == value.dtype
        else:
            np.testing.assert_array_equal(read[key], value)


def test_reads_what_the_test_dumps(tmp_path):
    scores, targets = random_run(20, 4)
    samples = read_predictions(write_dump(tmp_path / 'a.pkl', scores, targets, areas=50.0))
    np.testing.assert_array_equal(np.stack([sample['pred_score'] for sample in samples]), scores)


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (Call(os.system, 'touch {marker}'), r'asks for (posix|nt)\.system'),
        (Call(eval, 'open({marker!r}, "w")'), r'asks for (builtins|__builtin__)\.eval'),
        (Call(torch.load, '{marker}'), 'asks for torch.serialization.load'),
        (Call(getattr, 1, 'real'), r'asks for (builtins|__builtin__)\.getattr'),
        (np.array([os.system], object), "type 'O8'"),
        (np.zeros(2, [('a', 'i4')]), "type 'V4'"),
    ],
)
def test_runs_nothing(tmp_path, call, message, protocol):
    marker = tmp_path / 'marker'
    if isinstance(call, Call):
        function, arguments = call.call
        filled = [a.format(marker=str(marker)) if isinstance(a, str) else a for a in arguments]
        call = Call(function, *filled)
    samples = [dict(pred_score=torch.rand(2), img_path=call)]
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(samples, protocol=protocol))
    with pytest.raises(ValueError, match=f'{message}.*tools/test.py CONFIG CHECKPOINT --out'):
        read_predictions(tmp_path / 'a.pkl')
    assert not marker.exists()


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_values_inside_a_tensor_run_nothing(tmp_path):
    """A tensor's values are a pickle in the pickle."""
    marker = tmp_path / 'marker'
    inner = pickle.dumps(Call(os.system, f'touch {marker}'))
    call = Call(torch.storage._load_from_bytes, inner)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps([dict(pred_score=call)]))
    with pytest.raises(ValueError, match='cannot be read as predictions'):
        read_predictions(tmp_path / 'a.pkl')
    assert not marker.exists()


def test_a_tensor_larger_than_its_values_is_refused(tmp_path):
    storage = torch.rand(4)._typed_storage()
    huge = Call(torch._utils._rebuild_tensor_v2, storage, 0, (2**40,), (1,), False, {})
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps([dict(pred_score=huge)]))
    with pytest.raises(ValueError, match='cannot be read as predictions'):
        read_predictions(tmp_path / 'a.pkl')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'<!DOCTYPE html>', 'is a web page'),
        (b'{"a": 1}', 'is no pickle of predictions'),
        (pickle.dumps([dict(pred_score=1)], protocol=0), 'is no pickle of predictions'),
        (pickle.dumps([dict(pred_score=1)])[:-5], 'cannot be read as predictions'),
        (pickle.dumps({'state_dict': 1}), 'no list of samples with pred_score'),
        (pickle.dumps([]), 'no list of samples with pred_score'),
        (pickle.dumps([dict(gt_label=1)]), 'no list of samples with pred_score'),
    ],
)
def test_something_else(tmp_path, content, message):
    (tmp_path / 'a.pkl').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_predictions(tmp_path / 'a.pkl')


def test_absent(tmp_path):
    with pytest.raises(FileNotFoundError, match='no predictions at'):
        read_predictions(tmp_path / 'absent.pkl')
