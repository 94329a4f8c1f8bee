"""Results of trainings: one JSON per study, and the scores that each number comes from.

``OUT/results/STUDY.json`` is a list of records, one per training: the settings that name it, and
what came out. A study that is started again leaves out what is there. The scores on the photos of
the test are ``OUT/scores/STUDY/NAME.npz``. The results that ``docs/results.md`` is made of are in
the repository, in ``RECORDED``; copied to ``OUT/results``, they are continued.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison import machine
from mmpretrain_mldecoder.evaluation.functional import average_precision, class_mean
from mmpretrain_mldecoder.fileio.atomic_write import atomic_write

OUT = Path('work_dirs/accuracy')
RECORDED = Path(__file__).parent


class Study:
    """The records of one study.

    Args:
        name (str): Of the JSON file and of the folder with scores.
        out (Path): Folder of all that is computed.
    """

    def __init__(self, name: str, out: Path):
        self.path = out / 'results' / f'{name}.json'
        self.scores_folder = out / 'scores' / name
        self.records = self._stored()

    def _stored(self) -> list[dict]:
        return json.loads(self.path.read_text()) if self.path.exists() else []

    def find(self, settings: Mapping[str, Any]) -> list[dict]:
        """Return the records that have all these settings."""
        return [
            record
            for record in self.records
            if all(record.get(key) == value for key, value in settings.items())
        ]

    def add(
        self,
        settings: Mapping[str, Any],
        outcome: Mapping[str, Any],
        scores: np.ndarray | None = None,
        targets: np.ndarray | None = None,
    ) -> dict:
        """Store a record; with the scores and targets ``(N, C)`` of the test, also their mAP."""
        record = dict(settings)
        if scores is not None and targets is not None:
            record['mAP'] = mean_average_precision(scores, targets)
            path = self.scores_path(record)
            with atomic_write(path) as temporary, temporary.open('wb') as file:
                np.savez_compressed(file, scores=scores, targets=targets.astype(np.int8))
        record |= dict(outcome, machine=machine()['processor'], date=str(date.today()))
        with _locked(self.path.parent):
            self.records = [*self._stored(), record]  # other processes may have added theirs
            with atomic_write(self.path) as temporary:
                lines = ',\n'.join(json.dumps(each) for each in self.records)
                temporary.write_text(f'[\n{lines}\n]\n')
        return record

    def scores_path(self, record: Mapping[str, Any]) -> Path:
        """Return where the scores of a record are."""
        names = [str(record[key]) for key in ('dataset', 'run', 'seed')]
        return self.scores_folder / f'{"_".join(names)}.npz'

    def scores(self, record: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and targets ``(N, C)`` of the test of a record."""
        with np.load(self.scores_path(record), allow_pickle=False) as arrays:
            return arrays['scores'], arrays['targets']


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process in at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which unlocks


def best_of(values: Sequence[float], first: float, quality: Callable[[float], float]) -> float:
    """Return the value of the best quality: from the first on, downwards, then upwards.

    Neighbours are tried as long as the next one is better.
    """
    best = values.index(first)
    for step in (-1, 1):
        while 0 <= best + step < len(values) and quality(values[best + step]) > quality(
            values[best]
        ):
            best += step
    return values[best]


def mean_average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """Return the mAP in percent over the classes that have positives."""
    return 100 * class_mean(average_precision(scores, targets))


def paired_difference(
    first: list[np.ndarray], second: list[np.ndarray], targets: np.ndarray, resamples: int = 1000
) -> dict[str, float]:
    """Return the mean mAP of the first minus that of the second, and its 95 % interval.

    A percentile bootstrap over the images of the test: each resample draws the same images for both
    and for all seeds, so that what both find hard cancels. Trainings with other seeds are averaged,
    not resampled.

    Args:
        first (list[np.ndarray]): Scores ``(N, C)``, one array per seed.
        second (list[np.ndarray]): Likewise.
        targets (np.ndarray): ``(N, C)``.
        resamples (int): Defaults to 1000.
    """

    def difference(images: np.ndarray) -> float:
        chosen = targets[images]
        means = [
            np.mean([mean_average_precision(scores[images], chosen) for scores in each])
            for each in (first, second)
        ]
        return float(means[0] - means[1])

    generator = np.random.default_rng(0)
    count = len(targets)
    drawn = [difference(generator.integers(count, size=count)) for _ in range(resamples)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return dict(difference=difference(np.arange(count)), low=float(low), high=float(high))


def store_differences(name: str, out: Path, pairs: Iterable[tuple[dict, dict]]) -> None:
    """Compute the paired difference of each two settings whose scores are there, once.

    Of all seeds together, or, where scores of some are no longer there, of each seed that has them.
    """
    study, differences = Study(name, out), Study(f'{name}_differences', out)
    for first, second in pairs:
        sets = [study.find(first), study.find(second)]
        shared = {each['seed'] for each in sets[0]} & {each['seed'] for each in sets[1]}
        sets = [[each for each in records if each['seed'] in shared] for records in sets]
        key = first | dict(other=second['run'])
        scored = {
            seed
            for seed in shared
            if all(study.scores_path(of_seed(records, seed)).exists() for records in sets)
        }
        keys = [(key | dict(seeds=1, seed=seed), {seed}) for seed in sorted(scored)]
        if scored == shared:
            keys = [(key | dict(seeds=len(shared)), shared)]
        for each, seeds in keys:
            if seeds and not differences.find(each):
                chosen = [[of_seed(records, seed) for seed in sorted(seeds)] for records in sets]
                scores = [[study.scores(record)[0] for record in records] for records in chosen]
                targets = study.scores(chosen[0][0])[1]
                differences.add(each, paired_difference(*scores, targets))


def of_seed(records: list[dict], seed: int) -> dict:
    """Return the record of a seed."""
    return next(record for record in records if record['seed'] == seed)


def mean_difference(name: str, out: Path, settings: dict) -> str:
    """Return such as ``+1.20 [+0.71, +1.68]``, or ``-`` where it was not computed.

    If seeds have a difference each, of the most seeds, the means of it and of both bounds.
    """
    found = Study(f'{name}_differences', out).find(settings)
    if not found:
        return '-'
    most = max(each['seeds'] for each in found)
    found = [each for each in found if each['seeds'] == most]
    means = {key: np.mean([each[key] for each in found]) for key in ('difference', 'low', 'high')}
    return interval(means)


def mean_and_sd(values: list[float]) -> str:
    """Return such as ``84.08 ± 0.12``; one value has no spread."""
    spread = f' ± {np.std(values, ddof=1):.2f}' if len(values) > 1 else ''
    return f'{np.mean(values):.2f}{spread}'


def mean_of(records: list[dict], name: str = 'mAP') -> str:
    """Return mean and deviation of a number of records, ``-`` for none."""
    return mean_and_sd([each[name] for each in records]) if records else '-'


def interval(found: Mapping[str, float]) -> str:
    """Return a difference with its interval, such as ``+1.20 [+0.71, +1.68]``."""
    return '{difference:+.2f} [{low:+.2f}, {high:+.2f}]'.format(**found)
