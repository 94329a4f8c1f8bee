"""Heads that learn from few photos: ``python -m benchmarks.accuracy.small_data_heads``.

On the features that ``mldecoder start`` takes without a GPU, heads learn from some photos of train,
as its rules for their number say, and score others of train: which head for how many photos
of how many classes? ``--stopping``: is the epoch with the best mAP on val the one to stop at?
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.accuracy.frozen_features import features, predict, train
from benchmarks.accuracy.heads import HEADS
from benchmarks.accuracy.photos import DATASETS
from benchmarks.accuracy.records import OUT, Study, mean_average_precision
from benchmarks.accuracy.small_data import NETWORK
from mmpretrain_mldecoder.layers import MLDecoder
from mmpretrain_mldecoder.start.run_config import choose

SIZES, SCORED = (85, 425, 850, 1700, 3700), 800
STOPPING_SIZES, STOPPING_HEADS = (85, 425), ('linear', 'csra')
ROWS = dict(
    linear='linear_lite0_frozen', csra='csra_lite2_frozen', mldecoder='mldecoder_lite2_frozen'
)


class HeadTrainings:
    """Heads that learn from some photos of train, as ``start`` would train them.

    Args:
        dataset (str): One of ``DATASETS``.
        seed (int): Of the draw of the photos and of the heads.
        out (Path): Where the features are.
    """

    def __init__(self, dataset: str, seed: int, out: Path):
        self.dataset = dataset
        self.seed = seed
        self.maps, self.targets = features(dataset, 'train', out, network=NETWORK)
        order = np.random.default_rng(seed).permutation(len(self.maps))
        self.scored, self.rest = order[-SCORED:], order[:-SCORED]

    def settings(self, name: str, count: int) -> dict[str, float]:
        """Return what ``start`` chooses for that many photos."""
        choices = choose(count, DATASETS[self.dataset], row=ROWS[name])
        names = ('num_groups', 'lr', 'epochs', 'batch_size')
        return {what: float(str(choices[what].value)) for what in names}

    def train(
        self,
        name: str,
        rows: np.ndarray,
        num_groups: float,
        lr: float,
        epochs: float,
        batch_size: float,
        after_epoch: Callable[[nn.Module], object] | None = None,
    ) -> nn.Module:
        """Return a head that has learned from ``rows``."""
        torch.manual_seed(self.seed)
        sizes = DATASETS[self.dataset], self.maps.shape[1]
        head = MLDecoder(*sizes, int(num_groups)) if name == 'mldecoder' else HEADS[name](*sizes)
        train(
            *(head, self.maps[rows], self.targets[rows], lr, int(epochs)),
            batch_size=int(batch_size),
            after_epoch=after_epoch,
        )
        return head

    def best_epoch(
        self, name: str, rows: np.ndarray, val: np.ndarray, settings: dict[str, float]
    ) -> int:
        """Return the epoch with the best mAP on ``val`` of a training on ``rows``."""
        curve: list[float] = []
        validate = lambda head: curve.append(self.score(head, val))  # noqa: E731
        self.train(name, rows, **settings, after_epoch=validate)
        return int(np.argmax(curve)) + 1

    def score(self, head: nn.Module, rows: np.ndarray) -> float:
        """Return the mAP of a head on ``rows``."""
        return mean_average_precision(predict(head, self.maps[rows]), self.targets[rows].numpy())


def compare_heads(dataset: str, seed: int, out: Path) -> None:
    """Store what each head reaches on ``SCORED`` photos of train, learning from others of them."""
    study, trainings = Study('small_data_heads', out), HeadTrainings(dataset, seed, out)
    for count, name in itertools.product(SIZES, ROWS):
        key = dict(dataset=dataset, photos=count, head=name, seed=seed)
        if count > len(trainings.rest) or study.find(key):
            continue
        learned, settings = trainings.rest[:count], trainings.settings(name, count)
        head = trainings.train(name, learned, **settings)
        mean = trainings.score(head, trainings.scored)
        study.add(key, dict(mAP=mean, epochs=int(settings['epochs'])))
        print(f'{dataset}, {count} photos, {name}: {mean:.2f} mAP', flush=True)


def compare_stopping(dataset: str, seed: int, out: Path) -> None:
    """Store what a last training of as many epochs as the best on val had reaches, and one of all.

    As in a run of ``start``, the best epoch is that of a training on 70 of 85 photos, and the last
    training is on all of them.
    """
    study, trainings = Study('small_data_stopping', out), HeadTrainings(dataset, seed, out)
    for count, name in itertools.product(STOPPING_SIZES, STOPPING_HEADS):
        key = dict(dataset=dataset, photos=count, head=name, seed=seed)
        if study.find(key):
            continue
        learned, settings = trainings.rest[:count], trainings.settings(name, count)
        fit, val = np.split(learned, [count * 70 // 85])
        best = trainings.best_epoch(name, fit, val, settings)
        outcome = dict(epochs=int(settings['epochs']), best_epoch=best)
        for what in ('epochs', 'best_epoch'):
            head = trainings.train(name, learned, **(settings | dict(epochs=outcome[what])))
            outcome[f'mAP_of_{what}'] = trainings.score(head, trainings.scored)
        study.add(key, outcome)
        print(f'{dataset}, {count} photos, {name}: {outcome}', flush=True)


def main() -> None:
    """Train what is not stored yet."""
    parser = argparse.ArgumentParser(description='Train heads on few photos.')
    parser.add_argument('--datasets', nargs='+', default=list(DATASETS), choices=DATASETS)
    parser.add_argument('--seeds', type=int, default=3, help='number of draws of the photos')
    parser.add_argument('--stopping', action='store_true', help='compare numbers of epochs instead')
    parser.add_argument('--out', type=Path, default=OUT)
    args = parser.parse_args()
    for seed, dataset in itertools.product(range(args.seeds), args.datasets):
        if args.stopping:
            compare_stopping(dataset, seed, args.out)
        else:
            compare_heads(dataset, seed, args.out)


if __name__ == '__main__':
    main()
