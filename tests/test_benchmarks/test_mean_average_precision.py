"""What the benchmark of the mAP compares is the same number."""

import numpy as np
import pytest

from mmpretrain_mldecoder.evaluation import average_precision

pytest.importorskip('sklearn')
pytest.importorskip('torchmetrics')

from mean_average_precision import make_case, peer_functions


def test_peers_compute_the_same():
    scores, targets = make_case(400, 5, 0.1)
    # Each sample is a threshold of the authors' loop, so the scores of a class must differ.
    assert all(len(np.unique(column)) == 400 for column in scores.T)
    expected = average_precision(scores, targets)
    for name, function in peer_functions(scores, targets).items():
        # torchmetrics and MMPretrain compute in float32; the loop divides by positives + 1e-8.
        np.testing.assert_allclose(function(), expected, rtol=0, atol=1e-6, err_msg=name)
