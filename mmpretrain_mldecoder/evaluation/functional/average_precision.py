"""Average precision per class from scores and targets, and the mean over classes.

Source: the non-interpolated AP is the definition of scikit-learn's ``average_precision_score``;
the 11-point one is Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010,
section 4.2; the one of the envelope is VOC's from 2010 on (``VOCap.m`` of its development kit).
Differs from PaddleClas' ``MultiLabelMAP`` in: tied scores. There every sample is a threshold of its
own, so a tie is decided by the sorting routine; without ties both are equal, for both map types.
"""

import numpy as np

MAP_TYPES = ('integral', 'envelope', '11point')
# The classes of a wide (N, C) array are turned to contiguous rows in tiles: a transposed copy of
# all of it would double the memory, and reading one class touches a cache line and, from some
# thousand classes on, a memory page per sample. A tile of both sizes stays in the caches.
_CLASSES_AT_A_TIME = 64
_SAMPLES_AT_A_TIME = 256


def average_precision(
    scores: np.ndarray,
    targets: np.ndarray,
    map_type: str = 'integral',
    without_negatives: float = float('nan'),
) -> np.ndarray:
    """Return the average precision of every class, as fractions.

    Tied scores are one threshold, so the order of the samples never matters. An unknown label (-1)
    takes its sample out of that class only. A class without a known positive, or without a known
    negative, is nan: there is nothing to rank; see :func:`class_mean` for what becomes of it in the
    mean.

    Args:
        scores (np.ndarray): Logits or probabilities, ``(N, C)``: only their order within a class
            counts.
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown, ``(N, C)``.
        map_type (str): ``'integral'``, the sum of the precision at every threshold times the
            recall gained there, without interpolation; ``'envelope'``, the same with the best
            precision at that recall or a higher one, as VOC has it since 2010, which is never
            less; or ``'11point'``, the mean of that best precision over the recall levels 0, 0.1,
            ..., 1. Defaults to ``'integral'``.
        without_negatives (float): The AP of a class with positives and no negatives; 1.0 is what
            any ranking of it would get. Defaults to nan.

    Returns:
        np.ndarray: ``(C,)`` float64 in ``[0, 1]``, or nan.

    Raises:
        ValueError: If the shapes differ, a score is NaN, a target is not 1, 0 or -1, or
            ``map_type`` is unknown.

    Example:
        >>> average_precision([[0.9, 0.1], [0.5, 0.2], [0.5, 0.3]], [[1, 0], [1, 0], [0, 0]])
        array([0.83333333,        nan])
    """
    scores, targets = check_scores_and_targets(scores, targets)
    if map_type not in MAP_TYPES:
        raise ValueError(f'map_type must be one of {MAP_TYPES}, got {map_type!r}.')
    num_classes = scores.shape[1]
    result = np.empty(num_classes, dtype=np.float64)
    for start in range(0, num_classes, _CLASSES_AT_A_TIME):
        block = slice(start, start + _CLASSES_AT_A_TIME)
        classes = zip(_transposed(scores[:, block]), _transposed(targets[:, block]), strict=True)
        result[block] = [_one_class(*one, map_type, without_negatives) for one in classes]
    return result


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


def _transposed(array: np.ndarray) -> np.ndarray:
    """Return ``(N, C)`` as contiguous ``(C, N)``."""
    rows = np.empty(array.shape[::-1], dtype=array.dtype)
    for start in range(0, len(array), _SAMPLES_AT_A_TIME):
        samples = slice(start, start + _SAMPLES_AT_A_TIME)
        rows[:, samples] = array[samples].T
    return rows


def _one_class(
    scores: np.ndarray, targets: np.ndarray, map_type: str, without_negatives: float
) -> float:
    """AP of one class from ``(N,)`` scores and targets."""
    positives = np.sort(scores[targets == 1])
    if not positives.size:
        return float('nan')
    unknown = targets == -1
    known = np.sort(scores[~unknown] if unknown.any() else scores)
    if known.size == positives.size:
        return without_negatives
    # Recall is gained at the score of a positive only, so these are all the thresholds that count:
    # of the samples scored at least as high as a positive, how many are positive, how many are
    # there? Counting with "at least" makes a tie one threshold.
    hits = positives.size - np.searchsorted(positives, positives, side='left')
    retrieved = known.size - np.searchsorted(known, positives, side='left')
    precision = hits / retrieved
    if map_type == 'integral':
        return float(precision.mean())
    if map_type == 'envelope':  # positives ascend, so recall falls
        return float(np.maximum.accumulate(precision).mean())
    # Whole numbers, so that a recall of exactly 0.3 reaches the level 0.3.
    levels = [precision[10 * hits >= level * positives.size].max() for level in range(11)]
    return float(np.mean(levels))


def class_mean(values: np.ndarray, missing_class: str = 'skip') -> float:
    """Average one value per class ``(C,)``; nan marks a class that cannot be scored.

    The choice moves the reported number: with 4 of 5 classes present, each at 0.9, ``'skip'`` gives
    0.90 and ``'zero'`` 0.72.

    Args:
        values (np.ndarray): One number per class, nan where it has no positives or no negatives.
        missing_class (str): ``'skip'`` leaves such classes out, as PaddleClas does; ``'zero'``
            counts them as 0, as the authors of ML-Decoder and MMPretrain do. Defaults to
            ``'skip'``; anything else is a ``ValueError``.

    Returns:
        float: The mean, in the unit of ``values``; nan if no class is left.
    """
    if missing_class not in ('skip', 'zero'):
        raise ValueError(f"missing_class must be 'skip' or 'zero', got {missing_class!r}.")
    values = np.asarray(values, dtype=np.float64)
    missing = np.isnan(values)
    values = values[~missing] if missing_class == 'skip' else np.where(missing, 0.0, values)
    return float(values.mean()) if values.size else float('nan')
