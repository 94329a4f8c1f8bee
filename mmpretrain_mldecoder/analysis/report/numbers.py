"""The numbers of one set of scores: counts at every threshold, AP, curves, sizes, frequency.

The page only adds and divides whole numbers that are counted here by the metric's own rule
(``score >= threshold``), so what its slider shows is what
:func:`~mmpretrain_mldecoder.evaluation.precision_recall_at_threshold` gives.
"""

import numpy as np

from ...evaluation.functional import SIZE_BINS, average_precision, class_mean, object_size_targets

THRESHOLDS = np.arange(101) / 100
"""The positions of the slider."""

MAX_CURVES = 500
"""For more classes the page draws curves through the 101 thresholds instead of exact ones."""

MAX_POINTS = 120
"""Of a curve that is drawn."""

_SAMPLES_AT_A_TIME = 256


def count_scores(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the scores between neighbouring thresholds, those of positives and of negatives.

    The sum from bin ``k`` on is the number of scores that are at least ``THRESHOLDS[k]``, compared
    in the precision of the scores, as NumPy compares an array with a number.

    Args:
        scores (np.ndarray): Probabilities.
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown, which are not counted.

    Shape:
        - scores, targets: ``(N, C)``.
        - Output: two of ``(C, 101)`` int64.
    """
    num_classes = scores.shape[1]
    edges = THRESHOLDS.astype(scores.dtype)
    first_bins = np.arange(num_classes) * len(edges)
    counts = np.zeros((2, num_classes * len(edges)), dtype=np.int64)
    for start in range(0, len(scores), _SAMPLES_AT_A_TIME):
        rows = slice(start, start + _SAMPLES_AT_A_TIME)
        bins = np.searchsorted(edges, scores[rows], side='right') - 1 + first_bins
        for count, target in zip(counts, (1, 0), strict=True):
            count += np.bincount(bins[targets[rows] == target], minlength=len(count))
    positives, negatives = counts.reshape(2, num_classes, len(edges))
    return positives, negatives


def precision_recall_curve(
    scores: np.ndarray, targets: np.ndarray, max_points: int = MAX_POINTS
) -> dict[str, list[float]]:
    """Return precision and recall in percent at the scores of the positives, best first.

    Only there recall grows. Tied scores are one threshold. A curve of more points is drawn
    through some of them, evenly chosen, the first and the last included.

    Args:
        scores (np.ndarray): Of one class, or of all (micro), flat.
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown (left out).
        max_points (int): At least 2. Defaults to 120.

    Returns:
        dict[str, list[float]]: ``recall``, ``precision`` and ``thr``, of equal length; empty lists
        without positives.
    """
    positives = np.sort(scores[targets == 1])
    known = np.sort(scores[targets != -1])
    thresholds = np.unique(positives)[::-1]
    if len(thresholds) > max_points:
        thresholds = thresholds[np.linspace(0, len(thresholds) - 1, max_points).astype(int)]
    hits = len(positives) - np.searchsorted(positives, thresholds)
    retrieved = len(known) - np.searchsorted(known, thresholds)
    return dict(
        recall=_percent(hits / max(1, len(positives))),
        precision=_percent(hits / np.maximum(1, retrieved)),
        thr=thresholds.astype(float).round(6).tolist(),
    )


def frequency_thirds(positives: np.ndarray, ap: np.ndarray) -> list[dict]:
    """Mean AP of the rare, the medium and the common third of the classes.

    Classes are ordered by their number of positive images, ties by index, and cut in three parts
    of as equal size as can be; classes without positives belong to none.

    Returns:
        list[dict]: ``name``, ``classes`` (how many), ``fewest``, ``most`` (positives) and ``mAP``
        (percent); parts without a class are left out.
    """
    order = np.argsort(positives, kind='stable')
    order = order[positives[order] > 0]
    parts = zip(('rare', 'medium', 'common'), np.array_split(order, 3), strict=True)
    return [
        dict(
            name=name,
            classes=len(part),
            fewest=int(positives[part[0]]),
            most=int(positives[part[-1]]),
            mAP=round(100 * float(ap[part].mean()), 4),
        )
        for name, part in parts
        if len(part)
    ]


def series_numbers(
    name: str, scores: np.ndarray, targets: np.ndarray, size_masks: np.ndarray | None
) -> dict:
    """Return all numbers of one set of scores, ready for JSON.

    Args:
        name (str): What the page calls it, such as ``'EMA'``.
        scores (np.ndarray): ``(N, C)`` probabilities.
        targets (np.ndarray): ``(N, C)``.
        size_masks (np.ndarray, optional): ``(N, C)``; None leaves AP by size out.
    """
    ap = average_precision(scores, targets)
    positives, negatives = count_scores(scores, targets)
    num_classes = scores.shape[1]
    curves = []
    if num_classes <= MAX_CURVES:
        columns = zip(scores.T, targets.T, strict=True)
        curves = [precision_recall_curve(*map(np.ascontiguousarray, pair)) for pair in columns]
    sizes = []
    for size in SIZE_BINS if size_masks is not None else ():
        sized = object_size_targets(targets, size_masks, size)
        sized_ap = average_precision(scores, sized)
        scored = ~np.isnan(sized_ap)
        sizes.append(
            dict(
                name=size,
                mAP=_number(100 * class_mean(sized_ap)),
                classes=int(scored.sum()),
                positives=int((sized == 1).sum()),
            )
        )
    return dict(
        name=name,
        mAP=_number(100 * class_mean(ap)),
        ap=[_number(100 * value) for value in ap],
        positiveBins=[_sparse(row) for row in positives],
        negativeBins=[_sparse(row) for row in negatives],
        curves=curves,
        micro=precision_recall_curve(scores.ravel(), targets.ravel()),
        sizes=sizes,
        thirds=frequency_thirds(positives.sum(axis=1), ap),
    )


def _percent(fractions: np.ndarray) -> list[float]:
    return (100 * fractions).round(3).tolist()


def _number(value: float) -> float | None:
    """JSON has no nan."""
    return None if np.isnan(value) else round(float(value), 6)


def _sparse(row: np.ndarray) -> list[int]:
    """Write the bins that are not empty as bin, count, bin, count, ..."""
    (bins,) = row.nonzero()
    return np.stack([bins, row[bins]], axis=1).ravel().tolist()
