"""What fitted thresholds promise and give: ``python -m benchmarks.accuracy.threshold_gains``.

The test photos of each network of ``fine_tuning`` are halved at random, 20 times. Thresholds are
fitted to one half, as ``tune_thresholds.py`` does it: the gain over 0.5 that its cross-validation
promises stands beside the gain on the other half.

``--few-images`` fits thresholds to a few images instead: those of ``tune_thresholds.py`` beside the
best F1 of each class for itself. The scores are of a linear layer, trained on the frozen features
of half of the training photos; the other half and the test photos are fitted to, or measured on.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy.fine_tuning import main_runs
from benchmarks.accuracy.frozen_features import features, predict, train
from benchmarks.accuracy.heads import HEADS
from benchmarks.accuracy.photos import DATASETS
from benchmarks.accuracy.records import OUT, Study
from mmpretrain_mldecoder.apis.thresholds import tune_thresholds
from mmpretrain_mldecoder.evaluation.functional import (
    best_f1_thresholds,
    class_f1,
    class_mean,
    precision_recall_at_threshold,
)

HALVES = 20
DRAWS = 5
FEW = dict(voc2007=(15, 75, 300), corel5k=(100, 500, 2000))


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


def linear_scores(dataset: str, out: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and targets of photos that a linear layer was not trained on."""
    (train_maps, train_targets), (maps, targets) = (
        features(dataset, split, out, 'linear') for split in ('train', 'test')
    )
    half = len(train_maps) // 2
    torch.manual_seed(0)
    head = HEADS['linear'](DATASETS[dataset], maps.shape[1])
    chosen = Study('frozen_features', out).find(dict(dataset=dataset, run='linear'))[0]
    train(head, train_maps[:half], train_targets[:half], chosen['lr'], chosen['epochs'])
    scores = torch.from_numpy(predict(head, torch.cat([train_maps[half:], maps]))).sigmoid()
    return scores.numpy(), torch.cat([train_targets[half:], targets]).numpy().astype(np.int8)


def of_few_images(scores: np.ndarray, targets: np.ndarray, count: int) -> dict[str, float]:
    """Return OF1 and macro F1 in percent of thresholds fitted to some images, on the others."""
    names = [str(i) for i in range(scores.shape[1])]
    rows: dict[str, list[float]] = {}
    for seed in range(DRAWS):
        fitted, other = np.split(np.random.default_rng(seed).permutation(len(scores)), [count])
        own = best_f1_thresholds(scores[fitted], targets[fitted])
        ways = {
            'at_0.5': 0.5,
            'own': np.where(np.isnan(own), 0.5, own),
            'tuned': tune_thresholds(scores[fitted], targets[fitted], names).values,
        }
        for way, thr in ways.items():
            measured = precision_recall_at_threshold(scores[other], targets[other], thr)
            macro = class_mean(class_f1(scores[other] >= thr, targets[other]))
            rows.setdefault(f'OF1_{way}', []).append(measured['OF1'])
            rows.setdefault(f'macro_F1_{way}', []).append(macro)
    return {name: 100 * float(np.mean(values)) for name, values in rows.items()}


def main() -> None:
    """Compute the gains of all networks of the main table whose scores are there."""
    parser = argparse.ArgumentParser(description='Compare promised and found gains.')
    parser.add_argument(
        '--few-images', action='store_true', help='thresholds of few images instead'
    )
    parser.add_argument('--out', type=Path, default=OUT, help='where the scores are')
    args = parser.parse_args()
    out = args.out
    if args.few_images:
        study = Study('threshold_few_images', out)
        for dataset, counts in FEW.items():
            if all(study.find(dict(dataset=dataset, images=count)) for count in counts):
                continue
            arrays = linear_scores(dataset, out)
            for count in counts:
                key = dict(dataset=dataset, images=count)
                if not study.find(key):
                    study.add(key, of_few_images(*arrays, count))
        return
    study = Study('threshold_gains', out)
    trained = Study('fine_tuning', out)
    for settings in main_runs():
        key = dict(dataset=settings.dataset, run=settings.name, seed=settings.seed)
        for record in trained.find(key):
            if not study.find(key) and trained.scores_path(record).exists():
                study.add(key, gains(*trained.scores(record)))


if __name__ == '__main__':
    main()
