"""What every metric here accepts: scores and targets of one shape, no NaN, labels 1, 0 or -1."""

import numpy as np


def check_scores_and_targets(
    scores: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays, or say what is wrong with them.

    Args:
        scores (np.ndarray): Any monotone confidence, a row per sample and a column per class.
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown; any dtype.

    Shape:
        - scores, targets: ``(N, C)``.

    Raises:
        ValueError: If the shapes differ or are not 2-D, a score is NaN, or a target is not 1, 0
            or -1.
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
