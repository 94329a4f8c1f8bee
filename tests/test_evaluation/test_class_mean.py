import numpy as np
import pytest

from mmpretrain_mldecoder.evaluation import class_mean


def test_class_mean():
    for values, skip, zero in (
        ([0.9, 0.9, np.nan, 0.9, 0.9], 0.9, 0.72),
        ([0.5, 1.0], 0.75, 0.75),
        ([np.nan, np.nan], np.nan, 0.0),
        ([], np.nan, np.nan),
    ):
        assert class_mean(values) == pytest.approx(skip, nan_ok=True)
        assert class_mean(values, 'zero') == pytest.approx(zero, nan_ok=True)


def test_input_is_left_alone_and_another_rule_refused():
    values = np.array([1.0, np.nan])
    class_mean(values, 'zero')
    assert np.isnan(values[1])
    with pytest.raises(ValueError, match="'skip' or 'zero', got 'nan'"):
        class_mean(values, 'nan')
