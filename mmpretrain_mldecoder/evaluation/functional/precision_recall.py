"""Precision, recall and F1 of multi-label predictions, per class (C) and overall (O).

Source: Wang et al., "CNN-RNN", CVPR 2016 (arXiv:1604.04573), section 4, and the papers after it.

Conventions, each of which moves the numbers:

- CF1 is the harmonic mean of CP and CR, as in the tables of the literature. The scripts of
  ML-Decoder's authors average the F1s of the classes instead (scikit-learn's macro F1).
- A class with positives that is never predicted has precision 0.
- A class without positives is left out of CP and CR (``missing_class='skip'``) or counts as 0
  (``'zero'``: scikit-learn's macro average with ``zero_division=0``). Its false predictions always
  count in OP.
- At a threshold, a score equal to it is a prediction, as in MMPretrain's heads.
- At top-k, the ``k`` highest scores of an image are its predictions, however low they are (the
  papers after ML-GCN also ask for a probability of 0.5, which gives other numbers). Of equal
  scores the one of the lower class index comes first.
- Unknown labels (-1) are left out of all counts. They change no prediction: at top-k an unknown
  class keeps its place among the ``k``.
"""

import numpy as np

from .average_precision import check_scores_and_targets, class_mean


def precision_recall_at_threshold(
    scores: np.ndarray,
    targets: np.ndarray,
    thr: float | np.ndarray = 0.5,
    missing_class: str = 'skip',
) -> dict[str, float]:
    """Return CP, CR, CF1, OP, OR and OF1 of the classes that score at least ``thr``.

    Args:
        scores (np.ndarray): Probabilities, or logits with a ``thr`` to match, ``(N, C)``.
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown, ``(N, C)``.
        thr (float | np.ndarray): Threshold in the unit of the scores, for all classes or, ``(C,)``,
            one each. Defaults to 0.5.
        missing_class (str): ``'skip'`` or ``'zero'``, see :func:`class_mean`. Defaults to
            ``'skip'``.

    Returns:
        dict[str, float]: Fractions in ``[0, 1]``; without any positive nan, or 0 with ``'zero'``.

    Raises:
        ValueError: If the shapes differ, a score is NaN, or a target is not 1, 0 or -1.
    """
    return precision_recall_of_counts(counts_at_threshold(scores, targets, thr), missing_class)


def class_f1(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the F1 of every class, ``(C,)`` float64 in ``[0, 1]``; nan without positives.

    Whether a class is predicted, and the targets (1 positive, 0 negative, -1 unknown), are ``(N,
    C)``. Raises ``ValueError`` if the shapes differ, or a target is another number.
    """
    predictions, targets = check_scores_and_targets(predictions, targets)
    hits, predicted, positives = _counts(predictions.astype(bool), targets)
    return np.where(positives == 0, np.nan, _ratio(2 * hits, predicted + positives))


def precision_recall_at_topk(
    scores: np.ndarray, targets: np.ndarray, topk: int = 3, missing_class: str = 'skip'
) -> dict[str, float]:
    """Return CP, CR, CF1, OP, OR and OF1 of the ``topk`` best classes of each image.

    Scores may be logits or probabilities; ``topk``, in ``[1, C]``, defaults to 3, and another one
    is a ``ValueError``. All else is as in :func:`precision_recall_at_threshold`.
    """
    return precision_recall_of_counts(counts_at_topk(scores, targets, topk), missing_class)


def counts_at_threshold(
    scores: np.ndarray, targets: np.ndarray, thr: float | np.ndarray = 0.5
) -> np.ndarray:
    """Return what :func:`precision_recall_at_threshold` counts, with its first arguments.

    It is ``(3, C)`` int64: of each class the positives among the predictions, the predictions, and
    the positives. Counts of parts of the images add up to those of all.
    """
    scores, targets = check_scores_and_targets(scores, targets)
    return np.stack(_counts(scores >= thr, targets))


def counts_at_topk(scores: np.ndarray, targets: np.ndarray, topk: int = 3) -> np.ndarray:
    """Return what :func:`precision_recall_at_topk` counts, as :func:`counts_at_threshold` does."""
    scores, targets = check_scores_and_targets(scores, targets)
    num_classes = scores.shape[1]
    if not 1 <= topk <= num_classes:
        raise ValueError(f'topk must be in [1, {num_classes}], the number of classes, got {topk}.')
    lowest = np.partition(scores, num_classes - topk, axis=1)[:, num_classes - topk, None]
    above, tied = scores > lowest, scores == lowest
    places = topk - above.sum(axis=1, keepdims=True)
    predictions = above | (tied & (tied.cumsum(axis=1, dtype=np.int32) <= places))
    return np.stack(_counts(predictions, targets))


def precision_recall_of_counts(counts: np.ndarray, missing_class: str = 'skip') -> dict[str, float]:
    """Return CP, CR, CF1, OP, OR and OF1 of counted predictions, ``(3, C)``."""
    hits, predicted, positives = counts
    missing = positives == 0
    class_precision = class_mean(np.where(missing, np.nan, _ratio(hits, predicted)), missing_class)
    class_recall = class_mean(np.where(missing, np.nan, _ratio(hits, positives)), missing_class)
    if missing.all() and missing_class == 'skip':
        precision = recall = float('nan')
    else:
        precision = float(_ratio(hits.sum(), predicted.sum()))
        recall = float(_ratio(hits.sum(), positives.sum()))
    return dict(
        CP=class_precision,
        CR=class_recall,
        CF1=_harmonic_mean(class_precision, class_recall),
        OP=precision,
        OR=recall,
        OF1=_harmonic_mean(precision, recall),
    )


def _counts(predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return hits, predictions and positives of every class."""
    hits = (predictions & (targets == 1)).sum(axis=0)
    predicted = (predictions & (targets != -1)).sum(axis=0)
    return hits, predicted, (targets == 1).sum(axis=0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, 0 where there is nothing to divide by."""
    return part / np.maximum(whole, 1)


def _harmonic_mean(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
