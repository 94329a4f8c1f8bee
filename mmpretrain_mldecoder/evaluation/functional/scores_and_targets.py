"""What every metric here accepts: scores and targets of one shape, no NaN, labels 1, 0 or -1."""

import numpy as np


def check_scores_and_targets(
    scores: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays ``(N, C)``, or say what is wrong with them.

    Scores are any monotone confidence, targets 1 positive, 0 negative, -1 unknown, of any dtype.
    Raises ``ValueError`` if the shapes differ or are not 2-D, a score is NaN, or a target is
    another number.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise ValueError(
            'scores and targets must have the same shape (samples, classes), '
            f'got {scores.shape} and {targets.shape}.'
        )
    wrong = np.isnan(scores)
    if wrong.any():
        sample, label = np.argwhere(wrong)[0]
        raise ValueError(
            f'{wrong.sum()} of {scores.size} scores are NaN, the first one for sample {sample}, '
            f'class {label}: the model has diverged, or an operation overflowed in half precision.'
        )
    wrong = (targets != 1) & (targets != 0) & (targets != -1)
    if wrong.any():
        sample, label = np.argwhere(wrong)[0]
        raise ValueError(
            'targets must be 1 (positive), 0 (negative) or -1 (unknown), '
            f'got {targets[sample, label]} for sample {sample}, class {label}.'
        )
    return scores, targets
