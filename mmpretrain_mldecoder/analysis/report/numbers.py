"""Numbers of the report: counts at every threshold, AP, curves, sizes, frequency, confusions.

The page only adds and divides what is counted here by the metric's rule (``score >= threshold``),
so its slider shows what
:func:`~mmpretrain_mldecoder.evaluation.precision_recall_at_threshold` gives.
"""

from collections.abc import Sequence

import numpy as np

from ...evaluation.functional import SIZE_BINS, average_precision, class_mean, object_size_targets

THRESHOLDS = np.arange(101) / 100  # the positions of the slider
MAX_CURVES = 500  # for more classes the page draws curves through the thresholds, not exact ones
MAX_POINTS = 120  # of a curve that is drawn
MAX_CANDIDATES = 200  # most frequent missed and falsely reported classes, which are paired
MAX_PAIRS = 15  # confusions that are listed
MAX_CONFUSED = 15  # classes on each side of the heatmap of confusions
_SAMPLES_AT_A_TIME = 256


def count_scores(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the scores between neighbouring thresholds, those of positives and of negatives.

    Both are ``(C, 101)`` int64; unknown labels (-1) are not counted. The sum from bin ``k`` on is
    the number of scores that are at least ``THRESHOLDS[k]``, compared in the precision of the
    scores, as NumPy compares an array with a number.
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

    Scores and targets (-1 is left out) are those of one class, or of all (micro), flat. Tied scores
    are one threshold. Of more than ``max_points``, so many are chosen evenly, the first and the
    last included.
    """
    positives = np.sort(scores[targets == 1])
    known = np.sort(scores[targets != -1])
    thresholds = np.unique(positives)[::-1]
    if len(thresholds) > max_points:
        thresholds = thresholds[np.linspace(0, len(thresholds) - 1, max_points).astype(int)]
    hits = len(positives) - np.searchsorted(positives, thresholds)
    retrieved = len(known) - np.searchsorted(known, thresholds)
    return dict(
        recall=(100 * hits / max(1, len(positives))).round(3).tolist(),
        precision=(100 * hits / np.maximum(1, retrieved)).round(3).tolist(),
        thr=thresholds.astype(float).round(6).tolist(),
    )


def frequency_thirds(positives: np.ndarray, ap: np.ndarray) -> list[dict]:
    """Mean AP of the rare, the medium and the common third of the classes, in percent.

    Classes are ordered by their number of positive images (``fewest`` to ``most``), ties by index;
    those without AP belong to no third, and thirds without a class are left out.
    """
    order = np.argsort(positives, kind='stable')
    order = order[~np.isnan(ap[order])]
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
    name: str,
    scores: np.ndarray,
    targets: np.ndarray,
    size_masks: np.ndarray | None,
    map_type: str = 'integral',
) -> dict:
    """Return all numbers of one set of scores, ready for JSON.

    ``name`` is what the page calls it. The arrays are those of a :class:`TestRun`; without sizes
    in ``size_masks`` there is no AP by size. ``map_type`` is that of :func:`average_precision`.
    """
    ap = average_precision(scores, targets, map_type)
    positives, negatives = count_scores(scores, targets)
    curves = []
    if scores.shape[1] <= MAX_CURVES:
        columns = zip(scores.T, targets.T, strict=True)
        curves = [precision_recall_curve(*map(np.ascontiguousarray, pair)) for pair in columns]
    sizes = []
    for size in SIZE_BINS if size_masks is not None and size_masks.any() else ():
        sized = object_size_targets(targets, size_masks, size)
        sized_ap = average_precision(scores, sized, map_type)
        sizes.append(
            dict(
                name=size,
                mAP=_number(100 * class_mean(sized_ap)),
                classes=int((~np.isnan(sized_ap)).sum()),
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


def find_confusions(
    scores: np.ndarray, targets: np.ndarray, classes: Sequence[str], thr: float = 0.5
) -> dict:
    """Count the images on which class i is missed while class j is a false alarm, from ``thr`` on.

    With many labels per image, the two also meet by chance: on the number of images with i and
    without j, times the share of i's images on which it is missed, times the share of the images
    without j on which it is reported. Pairs are ordered by the number of images above that. Unknown
    labels (-1) are neither misses nor false alarms.

    Returned are the first ``pairs``; for a heatmap ``missed`` (rows), ``reported`` (columns),
    ``count`` and ``expected``; and ``candidates``, how many classes were paired on each side.
    """
    reported = scores >= thr
    missed_at, alarmed_at = ~reported & (targets == 1), reported & (targets == 0)
    rows, columns = _most_frequent(missed_at), _most_frequent(alarmed_at)
    present = (targets[:, rows] == 1).astype(np.float32)
    absent = (targets[:, columns] == 0).astype(np.float32)
    misses = missed_at[:, rows].astype(np.float32)
    alarms = alarmed_at[:, columns].astype(np.float32)
    count = misses.T @ alarms  # whole numbers below 2**24 are exact in float32
    miss_rate = misses.sum(axis=0) / present.sum(axis=0)
    alarm_rate = alarms.sum(axis=0) / absent.sum(axis=0)
    expected = (present.T @ absent) * miss_rate[:, None] * alarm_rate
    excess = np.where(count >= 2, count - expected, -np.inf)

    order = np.argsort(-excess, axis=None, kind='stable')
    order = [np.unravel_index(flat, excess.shape) for flat in order[: MAX_CONFUSED**2]]
    order = [(i, j) for i, j in order if excess[i, j] > 0]
    shown_rows = list(dict.fromkeys(i for i, _ in order))[:MAX_CONFUSED]
    shown_columns = list(dict.fromkeys(j for _, j in order))[:MAX_CONFUSED]
    cells = np.ix_(shown_rows, shown_columns)
    return dict(
        thr=thr,
        candidates=[len(rows), len(columns)],
        pairs=[
            dict(
                missed=classes[rows[i]],
                reported=classes[columns[j]],
                count=int(count[i, j]),
                expected=round(float(expected[i, j]), 2),
            )
            for i, j in order[:MAX_PAIRS]
        ],
        missed=[classes[rows[i]] for i in shown_rows],
        reported=[classes[columns[j]] for j in shown_columns],
        count=count[cells].astype(int).tolist(),
        expected=expected[cells].round(2).tolist(),
    )


def _most_frequent(errors: np.ndarray) -> np.ndarray:
    """Return the classes with the most errors, without those that have none."""
    counts = errors.sum(axis=0)
    order = np.argsort(-counts, kind='stable')[:MAX_CANDIDATES]
    return order[counts[order] > 0]


def _number(value: float) -> float | None:
    """JSON has no nan."""
    return None if np.isnan(value) else round(float(value), 6)


def _sparse(row: np.ndarray) -> list[int]:
    """Write the bins that are not empty as bin, count, bin, count, ..."""
    (bins,) = row.nonzero()
    return np.stack([bins, row[bins]], axis=1).ravel().tolist()
