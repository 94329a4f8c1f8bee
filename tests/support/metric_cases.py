"""Scores and targets on which the metric is compared with PaddleClas'.

Imports numpy only, as the peer's interpreter uses it too.
"""

import numpy as np

CLASSES = 5
BATCH = 32  # rows that the peer is given at a time


def metric_cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return name -> logits and targets ``(N, C)``, float32 and int64.

    ``plain``: all scores of a class differ, about 30 % positive. ``missing``: class 1 has no
    positive, class 3 nothing else. ``tied``: 4 scores. ``tied-reversed``: the same samples from the
    last to the first. ``unknown``: a quarter of the targets are -1. ``few``: 3 samples.
    """
    # RandomState's streams are frozen by numpy's compatibility policy; default_rng's are not.
    random = np.random.RandomState(0)
    shape = (90, CLASSES)
    # Steps of 0.05: distinct in float32 before and after a sigmoid.
    plain = np.stack([random.permutation(shape[0]) for _ in range(CLASSES)], axis=1) * 0.05 - 2
    targets = (random.uniform(size=shape) < 0.3).astype(np.int64)
    missing = targets.copy()
    missing[:, 1], missing[:, 3] = 0, 1
    tied = random.randint(0, 4, shape) - 1.5
    unknown = np.where(random.uniform(size=shape) < 0.25, -1, targets)
    cases = {
        'plain': (plain, targets),
        'missing': (plain, missing),
        'tied': (tied, targets),
        'tied-reversed': (tied[::-1], targets[::-1]),
        'unknown': (plain, unknown),
        'few': (plain[:3], np.eye(3, CLASSES, dtype=np.int64)),
    }
    return {name: (scores.astype(np.float32), labels) for name, (scores, labels) in cases.items()}
