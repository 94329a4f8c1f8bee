"""What fitted thresholds promise and give: ``python -m benchmarks.accuracy.threshold_gains``.

The test photos of each network of ``fine_tuning`` are halved at random, 20 times. Thresholds are
fitted to one half, as ``tune_thresholds.py`` does it: the gain over 0.5 that its cross-validation
promises stands beside the gain on the other half.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.accuracy.fine_tuning import main_runs
from benchmarks.accuracy.records import OUT, Study
from mmpretrain_mldecoder.apis.thresholds.tuned_thresholds import tune_thresholds
from mmpretrain_mldecoder.evaluation.functional import precision_recall_at_threshold

HALVES = 20


def gains(scores: np.ndarray, targets: np.ndarray, halves: int = HALVES) -> dict[str, float]:
    """Return mean and sd of CF1 and OF1 at 0.5, and of the gains promised and found, in points."""
    names = [str(i) for i in range(scores.shape[1])]
    rows: dict[str, list[float]] = {}
    for seed in range(halves):
        order = np.random.default_rng(seed).permutation(len(scores))
        fitted, other = np.array_split(order, 2)
        tuned = tune_thresholds(scores[fitted], targets[fitted], names)
        before, after = (
            precision_recall_at_threshold(scores[other], targets[other], thr)
            for thr in (0.5, tuned.values)
        )
        for metric in ('CF1', 'OF1'):
            at_half, held_out = tuned.fold_scores[metric].mean(axis=0)
            rows.setdefault(f'{metric}_at_0.5', []).append(before[metric])
            rows.setdefault(f'{metric}_promised', []).append(held_out - at_half)
            rows.setdefault(f'{metric}_found', []).append(after[metric] - before[metric])
    result = {}
    for name, values in rows.items():
        result[name] = 100 * float(np.mean(values))
        result[f'{name}_sd'] = 100 * float(np.std(values, ddof=1))
    return result


def main() -> None:
    """Compute the gains of all networks of the main table whose scores are there."""
    parser = argparse.ArgumentParser(description='Compare promised and found gains.')
    parser.add_argument('--out', type=Path, default=OUT, help='where the scores are')
    out = parser.parse_args().out
    study = Study('threshold_gains', out)
    trained = Study('fine_tuning', out)
    for settings in main_runs():
        key = dict(dataset=settings.dataset, run=settings.name, seed=settings.seed)
        for record in trained.find(key):
            if not study.find(key) and trained.scores_path(record).exists():
                study.add(key, gains(*trained.scores(record)))


if __name__ == '__main__':
    main()
