"""What ``mldecoder audit`` finds of flipped labels: ``python -m benchmarks.accuracy.label_errors``.

Labels of VOC's train and val, 5,008 photos, are flipped on purpose, those of difficult objects
excepted, which are unknown. A share of the labels is removed; and either as many are added (run
``labels``), or the same share of all absent ones (run ``cells``), which are 12 times as many. The
audit is that of the command, on frozen features of EfficientNet-Lite0, with its defaults; these
were chosen on COCO-18 and on other draws of flips in VOC's train. Precision counts errors of VOC
itself as wrong suspicions: run ``none`` has no flips, and says how many suspicions there are then.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.accuracy.frozen_features import features
from benchmarks.accuracy.photos import paths_and_targets, photo_folder
from benchmarks.accuracy.records import OUT, Study
from mmpretrain_mldecoder.analysis.audit.out_of_sample import out_of_sample_scores
from mmpretrain_mldecoder.analysis.audit.suspicions import find_suspicions
from mmpretrain_mldecoder.datasets.label_files import LabelTable, make_folds
from mmpretrain_mldecoder.datasets.seeded_datasets import SeededVOC
from mmpretrain_mldecoder.start.audit import FOLDS

RUNS = ('none', 'labels', 'cells')
SHARE = 0.05


def photos_and_features(out: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the names of the photos of train and val, their features and targets."""
    names, pooled, targets = [], [], []
    for split in ('train', 'test'):
        paths, of_split = paths_and_targets('voc2007', split, out)
        names += [Path(path).name for path in paths]
        pooled.append(features('voc2007', split, out, 'linear')[0].numpy())
        targets.append(of_split)
    return names, np.concatenate(pooled), np.concatenate(targets)


def flip(targets: np.ndarray, run: str, seed: int) -> np.ndarray:
    """Return the targets with some labels removed and others added."""
    generator, flipped = np.random.default_rng(seed), targets.copy()
    if run == 'none':
        return flipped
    present, absent = (generator.permutation(np.argwhere(targets == value)) for value in (1, 0))
    removed = round(SHARE * len(present))
    added = removed if run == 'labels' else round(SHARE * len(absent))
    flipped[tuple(present[:removed].T)] = 0
    flipped[tuple(absent[:added].T)] = 1
    return flipped


def audit(
    names: list[str], pooled: np.ndarray, targets: np.ndarray, run: str, seed: int
) -> dict[str, int | float]:
    """Return how many labels were flipped, suspected, and both; of each kind."""
    given = flip(targets, run, seed)
    blank = ('',) * len(names)
    table = LabelTable(tuple(names), SeededVOC.METAINFO['classes'], given, blank, blank)
    start = time.perf_counter()
    folds = make_folds(table, photo_folder() / 'voc2007/JPEGImages', FOLDS, seed)
    found = find_suspicions(out_of_sample_scores(pooled, given, folds), given)
    outcome: dict[str, int | float] = dict(seconds=round(time.perf_counter() - start, 1))
    is_right = np.array([given[s.image, s.label] != targets[s.image, s.label] for s in found])
    for value, kind in enumerate(('missing', 'spurious')):
        suspected = np.array([each.given == value for each in found])
        outcome[f'{kind}_flipped'] = int(((given != targets) & (given == value)).sum())
        outcome[f'{kind}_suspected'] = int(suspected.sum())
        outcome[f'{kind}_right'] = int((suspected & is_right).sum())
    outcome['right_of_first_200'] = int(is_right[:200].sum())
    return outcome


def main() -> None:
    """Audit what is not stored yet."""
    parser = argparse.ArgumentParser(description='Audit labels that were flipped on purpose.')
    parser.add_argument('--seeds', type=int, default=3, help='number of draws of the flips')
    parser.add_argument('--out', type=Path, default=OUT)
    args = parser.parse_args()
    study = Study('label_errors', args.out)
    data = photos_and_features(args.out)
    for seed in range(args.seeds):
        for run in RUNS:
            key = dict(dataset='voc2007', run=run, seed=seed)
            if not study.find(key):
                print(study.add(key, audit(*data, run, seed)), flush=True)


if __name__ == '__main__':
    main()
