import numpy as np
import pytest
import torch

from mmpretrain_mldecoder.apis.thresholds.stored_thresholds import stored_thresholds

CLASSES = ['ant', 'bee', 'cat']


def meta(**changes) -> dict:
    stored = dict(classes=CLASSES, values=[0.25, 1, 0.0], criterion='f1', split='val')
    return dict(epoch=9, thresholds=stored | changes)


def test_values_in_the_order_of_the_classes(tmp_path):
    torch.save(dict(meta=meta()), tmp_path / 'a.pth')
    read = torch.load(tmp_path / 'a.pth', weights_only=True)['meta']
    thresholds = stored_thresholds(read, tuple(CLASSES))
    np.testing.assert_array_equal(thresholds, [0.25, 1, 0])
    assert thresholds.dtype == np.float64


@pytest.mark.parametrize('nothing', [{}, dict(epoch=1), dict(thresholds=None), None])
def test_without_any(nothing):
    with pytest.raises(ValueError, match=r'no thresholds .* tools/analysis_tools/tune_thresholds'):
        stored_thresholds(nothing, CLASSES)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(classes=CLASSES[:2]), 'of 2 classes, the model has 3'),
        (dict(classes=['ant', 'cat', 'bee']), "class 1 is 'cat' there and 'bee' here"),
        (dict(classes=['ant', 'bee', 3]), "class 2 is 3 there and 'cat' here"),
        (dict(classes='ant'), 'not a dict with lists'),
        (dict(values=None), 'not a dict with lists'),
        (dict(values=torch.tensor([0.1, 0.2, 0.3])), 'not a dict with lists'),
        (dict(values=[0.1, 0.2]), '2 thresholds for 3 classes'),
        (dict(values=[0.1, 0.2, 1.01]), r"class 'cat' .* number in \[0, 1\], but is 1\.01"),
        (dict(values=[0.1, -0.1, 1]), "class 'bee' .* but is -0.1"),
        (dict(values=[float('nan'), 0.2, 0.3]), "class 'ant' .* but is nan"),
        (dict(values=[0.1, float('inf'), 0.3]), 'but is inf'),
        (dict(values=[0.1, '0.5', 0.3]), "but is '0.5'"),
        (dict(values=[0.1, True, 0.3]), 'but is True'),
        (dict(values=[0.1, None, 0.3]), 'but is None'),
    ],
)
def test_damaged_or_of_another_model(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        stored_thresholds(meta(**changes), CLASSES)
    assert 'tune_thresholds.py' in str(caught.value)


@pytest.mark.parametrize('stored', [[0.1, 0.2, 0.3], 0.5, 'tuned', dict()])
def test_other_forms(stored):
    with pytest.raises(ValueError, match='not a dict with lists'):
        stored_thresholds(dict(thresholds=stored), CLASSES)
