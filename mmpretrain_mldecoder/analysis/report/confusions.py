"""Which classes are taken for which: misses of one that come with false alarms of another."""

from collections.abc import Sequence

import numpy as np

MAX_CANDIDATES = 200
"""Of the missed and of the falsely reported classes, so many of the most frequent are paired."""

MAX_PAIRS = 15
MAX_CLASSES = 15


def find_mix_ups(
    scores: np.ndarray, targets: np.ndarray, classes: Sequence[str], thr: float = 0.5
) -> dict:
    """Count the images on which class i is missed while class j is a false alarm.

    With many labels an image, a miss and a false alarm meet by chance too. What chance gives is
    counted among the images that show i and do not show j, where both can happen: their number,
    times the share of i's images on which it is missed, times the share of the images without
    j on which it is reported. Pairs are ordered by what is above that, in images.

    Args:
        scores (np.ndarray): ``(N, C)`` probabilities.
        targets (np.ndarray): ``(N, C)``; unknown labels (-1) are neither misses nor false alarms.
        classes (Sequence[str]): ``C`` names.
        thr (float): From which score on a class is reported. Defaults to 0.5.

    Returns:
        dict: ``thr``; ``pairs``, the foremost with ``missed``, ``reported``, ``count`` and
        ``expected``; ``missed`` and ``reported``, the class names of the heatmap's rows and
        columns; ``count`` and ``expected``, its cells; ``candidates``, how many classes were paired
        on each side.
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
    order = [np.unravel_index(flat, excess.shape) for flat in order[: MAX_CLASSES**2]]
    order = [(i, j) for i, j in order if excess[i, j] > 0]
    shown_rows = list(dict.fromkeys(i for i, _ in order))[:MAX_CLASSES]
    shown_columns = list(dict.fromkeys(j for _, j in order))[:MAX_CLASSES]
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
        count=count[cells].astype(int).tolist() if order else [],
        expected=expected[cells].round(2).tolist() if order else [],
    )


def _most_frequent(mistakes: np.ndarray) -> np.ndarray:
    """The classes with the most mistakes, without those that have none."""
    counts = mistakes.sum(axis=0)
    order = np.argsort(-counts, kind='stable')[:MAX_CANDIDATES]
    return order[counts[order] > 0]
