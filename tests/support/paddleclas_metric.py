"""How our AP compares with PaddleClas' ``MultiLabelMAP``: what is equal, and what differs how."""

import numpy as np
from metric_cases import metric_cases

from mmpretrain_mldecoder.evaluation import MultiLabelMAP, average_precision, class_mean

# float64 on both sides, added up in another order.
EXACT = dict(rtol=0, atol=1e-12)


def check_case(
    name: str, scores: np.ndarray, targets: np.ndarray, theirs: dict, map_type: str
) -> None:
    """Check scores without ties: equal per class and in the mean.

    PaddleClas leaves a class without positives out of the mean, as we do; asked for such a class
    alone it says 0, we say nan. A class that every image has is 1 there, and left out by us. It
    knows no unknown labels: -1 is a negative.
    """
    if (targets == -1).any():
        without = MultiLabelMAP(map_type).compute(scores, targets)['mAP']
        assert abs(without - 100 * theirs['mAP']) > 1, 'unknown labels should change the mAP'
        targets = np.where(targets == -1, 0, targets)
    ap = average_precision(scores, targets, map_type, without_negatives=1.0)
    assert np.isnan(ap).any() == (name in ('missing', 'few'))
    np.testing.assert_allclose(np.nan_to_num(ap), theirs['AP'], **EXACT)
    np.testing.assert_allclose(class_mean(ap), theirs['mAP'], **EXACT)


def check_ties(results: dict, map_type: str) -> None:
    """Check tied scores: there the order of the samples decides, here it does not.

    PaddleClas takes tied samples one after the other, so its AP lies between that of the best order
    within a tie, all positives first, and that of the worst.
    """
    scores, targets = metric_cases()['tied']
    ours = average_precision(scores, targets, map_type)
    reversed_case = metric_cases()['tied-reversed']
    np.testing.assert_array_equal(average_precision(*reversed_case, map_type), ours)
    # Scores are 1 apart; within a tie each sample gets one of its own, positives first or last.
    order = 0.001 * np.arange(len(scores))[:, None]
    best = average_precision(scores + order + 0.5 * targets, targets, map_type)
    worst = average_precision(scores + order - 0.5 * targets, targets, map_type)
    theirs = [np.array(results[name][map_type]['AP']) for name in ('tied', 'tied-reversed')]
    for ap in theirs:
        assert (worst - 1e-12 <= ap).all() and (ap <= best + 1e-12).all()
    apart = np.abs(theirs[0] - theirs[1])
    assert apart.max() > 0.01, 'the order should matter to PaddleClas'
    assert np.abs(theirs[0] - ours).max() > 0.01
