"""``mldecoder start`` on few photos: ``python -m benchmarks.accuracy.small_data``.

100, 500 and 2,000 photos of VOC's train as a CSV. ``mldecoder start`` splits, trains and exports;
its model is then tested on the photos of val, which it never saw. Beside it, scikit-learn's
logistic regression on the same frozen features, one per class, its strength chosen by
cross-validation (a class with under 3 photos takes the median of the others): of all photos, and of
those that ``start`` did not keep for its own test.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from mmengine.config import Config
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

from benchmarks.accuracy.frozen_features import Network, features
from benchmarks.accuracy.photos import DATASETS, dataset_cfg, paths_and_targets
from benchmarks.accuracy.records import OUT, Study, mean_average_precision
from mmpretrain_mldecoder.analysis.report.test_run import read_test_run
from mmpretrain_mldecoder.datasets.label_files import read_split_counts
from mmpretrain_mldecoder.datasets.seeded_datasets import SeededVOC
from mmpretrain_mldecoder.start.run_config import choose

SIZES = (100, 500, 2000)
NETWORK = Network('lite2', 320)  # that of start without a GPU


def write_csv(count: int, seed: int, out: Path) -> tuple[Path, np.ndarray]:
    """Write a folder with links to photos and ``labels.csv``; return it and the rows in train."""
    paths, targets = paths_and_targets('voc2007', 'train', out)
    rows = np.sort(np.random.default_rng(seed).permutation(len(paths))[:count])
    folder = out / 'small_data' / f'voc{count}_{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'labels.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['image', 'labels'])
        for row in rows:
            path = Path(paths[row])
            if not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
            labels = [SeededVOC.METAINFO['classes'][i] for i in np.flatnonzero(targets[row] == 1)]
            writer.writerow([path.name, '|'.join(labels)])
    return folder, rows


def learned_from(folder: Path, run: Path, rows: np.ndarray) -> np.ndarray:
    """Return those of ``rows`` that the model of a run has learned from."""
    content = json.loads((run / 'labels/train_and_val.json').read_text())
    seen = {image['file_name'] for image in content['images']}
    with (folder / 'labels.csv').open(newline='') as file:
        names = [line['image'] for line in csv.DictReader(file)]
    return rows[[name in seen for name in names]]


def logistic_regression(rows: np.ndarray, out: Path) -> float:
    """Return the mAP on val of one logistic regression per class on pooled features."""
    pooled = {}
    for split in ('train', 'test'):
        found = features('voc2007', split, out, 'linear', NETWORK)
        pooled[split] = [part.numpy() for part in found]
    scale = StandardScaler().fit(pooled['train'][0][rows])
    train, test = (scale.transform(pooled[split][0]) for split in ('train', 'test'))
    scores = np.zeros_like(pooled['test'][1])  # of a class without a photo: chance
    counts = (pooled['train'][1][rows] == 1).sum(0)
    strengths: list[float] = []
    for label in np.argsort(-counts):  # rare classes last: they take the strength of the others
        targets = pooled['train'][1][rows, label]
        known = targets >= 0
        if not counts[label]:
            continue
        model = LogisticRegression(C=float(np.median(strengths or [1.0])), max_iter=300)
        if counts[label] >= 3:
            model = LogisticRegressionCV(
                Cs=np.logspace(-5, 0, 6), cv=3, scoring='average_precision', max_iter=300
            )
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', (ConvergenceWarning, FutureWarning))
            model.fit(train[rows][known], targets[known])
        if counts[label] >= 3:
            strengths.append(float(np.ravel(model.C_)[0]))
        scores[:, label] = model.decision_function(test)
    return mean_average_precision(scores, pooled['test'][1])


def start(folder: Path, run: Path, out: Path) -> tuple[float, float]:
    """Return the mAP on val of what ``mldecoder start`` trains in ``run``, and its minutes."""
    console = [sys.executable, '-m', 'mmpretrain_mldecoder.console']
    begin = time.perf_counter()
    arguments = ['start', str(folder), '--out', str(run), '--separator', '|']
    subprocess.run([*console, *arguments], check=True)
    minutes = (time.perf_counter() - begin) / 60
    config, dump = run / 'val.py', run / 'val.pkl'
    cfg = Config.fromfile(run / 'config.py')
    categories = json.loads((run / 'labels/train.json').read_text())['categories']
    classes = [each['name'] for each in categories]
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline[-1].num_classes = len(classes)
    cfg.test_dataloader.dataset = dict(
        dataset_cfg('voc2007', 'test', out),
        metainfo=dict(classes=classes),
        pipeline=pipeline,
        test_mode=True,
    )
    cfg.dump(config)
    command = [*console, 'test', str(config), str(run / 'model.pth'), '--weights', 'ema']
    subprocess.run([*command, '--out', str(dump), '--work-dir', str(run / 'val')], check=True)
    targets = paths_and_targets('voc2007', 'test', out)[1]
    scores = np.zeros(targets.shape, np.float32)  # of a class without a photo: chance
    places = [SeededVOC.METAINFO['classes'].index(name) for name in classes]
    scores[:, places] = read_test_run(dump).scores
    return mean_average_precision(scores, targets), minutes


def main() -> None:
    """Train on the sizes that are not stored yet."""
    parser = argparse.ArgumentParser(description='Train on few photos.')
    parser.add_argument('--sizes', nargs='+', type=int, default=SIZES)
    parser.add_argument('--seeds', type=int, default=1, help='number of draws of the photos')
    parser.add_argument('--out', type=Path, default=OUT)
    args = parser.parse_args()
    study = Study('small_data', args.out)
    for seed in range(args.seeds):
        for count in args.sizes:
            folder, rows = write_csv(count, seed, args.out)
            key = dict(dataset='voc2007', photos=count, seed=seed)
            if study.find(key):
                continue
            run = args.out / 'small_data' / f'{folder.name}_run'
            reached, minutes = start(folder, run, args.out)
            learning = read_split_counts(run / 'labels').images['train']
            row = choose(learning, DATASETS['voc2007'])['row'].value
            outcome = dict(row=row, mAP=reached, minutes=round(minutes, 1))
            known = learned_from(folder, run, rows)
            outcome['regression'] = logistic_regression(known, args.out)
            outcome['regression_of_all'] = logistic_regression(rows, args.out)
            study.add(key, outcome | dict(learned_from=len(known)))
            print(f'{count} photos: {outcome}', flush=True)


if __name__ == '__main__':
    main()
