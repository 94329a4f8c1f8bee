"""One threshold per class, fitted to scores and targets.

Conventions, each of which moves a threshold:

- A score equal to the threshold is a prediction, and tied scores are predicted together.
- A threshold lies half way between the lowest score that is predicted and the highest one that is
  not (0, if everything is predicted): new images score in between, and neither side is closer to
  being right. It is a number of the scores' own precision: what is counted as predicted here is
  predicted wherever the comparison is made, in float32 or in float64.
- Unknown labels (-1) are left out, class by class.
- A class without positives has no threshold: nan.

Scores are probabilities. Their order within a class decides which images are predicted.
"""

from collections.abc import Callable

import numpy as np

from .average_precision import check_scores_and_targets


def best_f1_thresholds(scores: np.ndarray, targets: np.ndarray, most: float = np.inf) -> np.ndarray:
    """Return the threshold of the best F1 of every class; of equal ones the highest.

    Best on these samples, that is: on others the F1 is lower, the more so the fewer positives a
    class has. Where scores hardly tell a class, the best F1 is that of predicting it everywhere,
    unless ``most`` bounds that.

    Args:
        scores (np.ndarray): Probabilities in ``[0, 1]``, ``(N, C)``.
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown, ``(N, C)``.
        most (float): A class is predicted for at most ``most`` times as many samples as it has
            positives, ties of the highest score aside. Defaults to inf.

    Returns:
        np.ndarray: ``(C,)`` float64 in ``[0, 1]``, or nan for a class without positives.

    Raises:
        ValueError: If the shapes differ, a score is NaN or outside ``[0, 1]``, or a target is not
            1, 0 or -1.

    Example:
        >>> best_f1_thresholds([[0.9, 0.1], [0.5, 0.2], [0.1, 0.3]], [[1, 0], [1, 0], [0, 0]])
        array([0.3, nan])
    """

    def choose(hits: np.ndarray, predicted: np.ndarray) -> int:
        allowed = max(int((predicted <= most * hits[-1]).sum()), 1)
        # A single division, correctly rounded: equal fractions stay equal.
        return int(np.argmax((2 * hits / (predicted + hits[-1]))[:allowed]))

    return _thresholds(scores, targets, choose)


def precision_thresholds(scores: np.ndarray, targets: np.ndarray, precision: float) -> np.ndarray:
    """Return the lowest threshold of every class at which a precision holds.

    Of all that hold it, the lowest has the highest recall. (At thresholds above it the precision
    may fall below again: it is not monotone.) The precision, in ``(0, 1]``, holds if it is
    equalled. Scores, targets and errors are those of :func:`best_f1_thresholds`.

    Returns:
        np.ndarray: ``(C,)`` float64: in ``[0, 1]``; inf, which no score reaches, for a class that
        has the precision at no threshold; nan for a class without positives.

    Example:
        >>> precision_thresholds([[0.9, 0.9], [0.5, 0.2], [0.1, 0.3]], [[1, 0], [0, 0], [1, 1]], 1)
        array([0.7, inf])
    """
    if not 0 < precision <= 1:
        raise ValueError(f'precision must be in (0, 1], got {precision}.')

    def choose(hits: np.ndarray, predicted: np.ndarray) -> int | None:
        holds = np.flatnonzero(hits / predicted >= float(precision))
        return int(holds[-1]) if holds.size else None

    return _thresholds(scores, targets, choose)


def _thresholds(
    scores: np.ndarray,
    targets: np.ndarray,
    choose: Callable[[np.ndarray, np.ndarray], int | None],
) -> np.ndarray:
    """Let ``choose`` pick among the distinct scores of every class, highest first."""
    scores, targets = check_scores_and_targets(scores, targets)
    if not np.issubdtype(scores.dtype, np.floating):
        scores = scores.astype(np.float64)
    wrong = (scores < 0) | (scores > 1)
    if wrong.any():
        sample, label = np.argwhere(wrong)[0]
        raise ValueError(
            f'scores must be probabilities in [0, 1], got {scores[sample, label]} for sample '
            f'{sample}, class {label}: apply the sigmoid to logits first.'
        )
    result = np.full(scores.shape[1], np.nan)
    for label in range(scores.shape[1]):
        known = targets[:, label] != -1
        positive = targets[known, label] == 1
        if not positive.any():
            continue
        column = scores[known, label]
        order = np.argsort(-column)
        column = column[order]
        # The last one of each tie, where all of it is counted.
        last = np.flatnonzero(np.append(column[1:] != column[:-1], True))
        at = choose(positive[order].cumsum()[last], last + 1)
        result[label] = np.inf if at is None else _half_way(column[last], at)
    return result


def _half_way(values: np.ndarray, at: int) -> float:
    """Return a number above ``values[at + 1]`` that is at most ``values[at]``."""
    upper = values[at]
    lower = values[at + 1] if at + 1 < len(values) else values.dtype.type(0)
    middle = values.dtype.type((float(upper) + float(lower)) / 2)
    return float(middle if middle > lower else upper)
