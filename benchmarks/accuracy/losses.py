"""Losses on frozen features: ``python -m benchmarks.accuracy.losses [--help]``.

A linear layer on the averaged features of :mod:`.frozen_features`, or another head on the maps, is
trained as the heads there, by the losses of the package. Three studies:

- Unknown labels, on VOC 2007 and COCO-18: half of all labels of the training photos are hidden, or
  90 % of them, or all but one positive a photo; each seed hides others.
- Rare classes, on COCO-18: weights, a sampler, the distribution-balanced loss.
- Classes in most photos: the asymmetric loss with and without its margin ``clip``, on the labels as
  they are, and on COCO-18 turned round: a network learns which photos lack a class, and its
  negated scores are those of the class. There, too, ML-Decoder with a lower learning rate, and
  on fewer photos, of which not so many have the most frequent class.

For each loss, hiding and seed, learning rate and epochs are chosen on a fifth of the training
photos, of which no more labels are known than of the others: by the mAP of the known ones; where
only positives are known, all others count as absent. CSRA and ML-Decoder have those that were
chosen for them on complete labels, whatever the loss. The labels of the test photos are complete.
"""

import argparse
import json
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmpretrain.registry import MODELS
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.accuracy.frozen_features import best_setting, features, predict, train
from benchmarks.accuracy.heads import HEADS
from benchmarks.accuracy.photos import part_of
from benchmarks.accuracy.records import OUT, Study, mean_average_precision, paired_difference
from mmpretrain_mldecoder.datasets.class_balanced_sampler import ClassBalancedSampler
from mmpretrain_mldecoder.fileio.atomic_write import atomic_write
from mmpretrain_mldecoder.models.losses import CountedLoss

DATASETS = ('voc2007', 'coco18')
HEADS_OF_LOSSES = ('linear', 'csra', 'mldecoder')
HIDINGS = ('half', 'most', 'single')
TURNED, FEWER = 'turned', 'fewer'
LABELS = ('none', *HIDINGS, TURNED, FEWER)
SHARE = 0.54
"""Of the photos that have the most frequent class with ``FEWER``: COCO's train2017 with persons."""
IGNORE_BCE: dict[str, Any] = dict(type='DetachedAsymmetricLoss', gamma_neg=0, clip=0)
IGNORE_ASL: dict[str, Any] = dict(type='DetachedAsymmetricLoss')
SELECTIVE: dict[str, Any] = dict(type='SelectiveAsymmetricLoss', gamma_unknown=4)

PARTIAL: dict[str, dict[str, Any]] = {
    'ignore-bce': IGNORE_BCE,
    'ignore-asl': IGNORE_ASL,
    'an': dict(type='AssumeNegativeLoss'),
    'negative-asl': dict(SELECTIVE, topk=0, gamma_neg=4, clip=0.05),
    'an-ls': dict(type='AssumeNegativeLoss', smoothing=0.1),
    'wan': dict(type='AssumeNegativeLoss', weak=True),
    'csl': SELECTIVE,
    'csl-top1': dict(SELECTIVE, topk=1),
    'csl-prior': dict(SELECTIVE, prior='prior.json'),
    'll-r': dict(type='LargeLossRejection'),
    'hill': dict(type='HillLoss'),
    'splc': dict(type='SPLCLoss'),
}
"""Losses for unknown labels."""

NEED_NEGATIVES = ('ignore-bce', 'ignore-asl', 'csl-prior')
"""Those that would learn, or take from such a training, that everything is present."""

NO_MARGIN: dict[str, dict[str, Any]] = {'asl-no-margin': dict(IGNORE_ASL, clip=0)}
OF_TURNED = ('asl', *NO_MARGIN, 'bce')
"""Losses for classes in most photos."""

SLOW, SLOW_RATE = 'asl-slow', 1e-4
"""The asymmetric loss at the learning rate of the published recipe."""

OF_ML_DECODER = ('ignore-asl', 'negative-asl', 'csl-top1', 'splc')
"""Those with which ML-Decoder is trained, too."""

_SOFT = dict(power=0.5, max_weight=10)
BALANCED: dict[str, dict[str, Any]] = {
    'bce': IGNORE_BCE,
    'bce-pos-auto': dict(IGNORE_BCE, pos_weight='auto'),
    'bce-pos-soft': dict(IGNORE_BCE, pos_weight=_SOFT),
    'bce-weight': dict(type='TIMMLoss', loss_type='bce', smoothing=0, weight='auto'),
    'bce-sampler': dict(IGNORE_BCE, oversample_thr=0.02),
    'bce-sampler-more': dict(IGNORE_BCE, oversample_thr=0.1),
    'asl': IGNORE_ASL,
    'asl-pos-soft': dict(IGNORE_ASL, pos_weight=_SOFT),
    'asl-pos-soft-sampler': dict(IGNORE_ASL, pos_weight=_SOFT, oversample_thr=0.02),
    'db': dict(type='TIMMLoss', loss_type='db', class_counts='auto'),
}
"""Likewise for rare classes; ``oversample_thr`` is of ``ClassBalancedSampler``."""

SETTINGS: dict[str, dict[str, tuple[float, int]]] = dict(
    csra=dict(voc2007=(1.0, 10), coco18=(1e-3, 10)),
    mldecoder=dict(voc2007=(1e-3, 5), coco18=(1e-3, 5)),
)
"""Learning rate and epochs that :mod:`.frozen_features` chose for heads on maps."""

BINS = dict(rare=(0, 0.02), medium=(0.02, 0.1), frequent=(0.1, 1))
"""Classes by the fraction of the training photos that has them."""

LOSS_NAMES = {
    'ignore-bce': 'ignored, BCE',
    'ignore-asl': 'ignored, ASL',
    'an': 'negative, BCE (AN)',
    'negative-asl': 'negative, ASL',
    'an-ls': 'AN-LS',
    'wan': 'WAN',
    'csl': 'CSL, `topk=5`',
    'csl-top1': 'CSL, `topk=1`',
    'csl-prior': 'CSL, `topk=5` and prior',
    'll-r': 'LL-R',
    'hill': 'Hill',
    'splc': 'SPLC',
    'bce': 'BCE',
    'bce-pos-auto': "BCE, `pos_weight='auto'`",
    'bce-pos-soft': 'BCE, softer `pos_weight`',
    'bce-weight': "BCE, `weight='auto'`",
    'bce-sampler': 'BCE, sampler, 0.02',
    'bce-sampler-more': 'BCE, sampler, 0.1',
    'asl': 'ASL',
    'asl-no-margin': 'ASL, `clip=0`',
    SLOW: 'ASL, learning rate 1e-4',
    'asl-pos-soft': 'ASL, softer `pos_weight`',
    'asl-pos-soft-sampler': 'ASL, softer `pos_weight`, sampler, 0.02',
    'db': 'distribution-balanced',
}
"""Names in tables."""


def hide(targets: Tensor, hiding: str, seed: int) -> Tensor:
    """Return targets ``(N, C)`` of which labels are unknown, drawn with a seed.

    Args:
        targets (Tensor): 1 present, 0 absent, -1 unknown.
        hiding (str): ``'half'`` or ``'most'``: each label is hidden with probability 0.5 or 0.9;
            ``'single'``: all but one positive of each photo are; ``TURNED``: none is, but present
            and absent change places; ``'none'`` and ``FEWER``: none is.
        seed (int): Of the draw.
    """
    if hiding == TURNED:
        return torch.where(targets < 0, targets, 1 - targets)
    drawn = torch.rand(targets.shape, generator=torch.Generator().manual_seed(seed))
    if hiding == 'single':
        drawn = torch.where(targets > 0, drawn, -1)
        kept = (drawn == drawn.amax(1, keepdim=True)) & (targets > 0)
    else:
        kept = drawn >= {'half': 0.5, 'most': 0.9, 'none': 0.0, FEWER: 0.0}[hiding]
    return torch.where(kept, targets, -1)


def run_name(method: str, hiding: str = 'none', head: str = 'linear') -> str:
    """Return the name of a training in the results."""
    return f'{head}-{hiding}-{method}'


def planned(dataset: str, head: str) -> list[tuple[str, str]]:
    """Return losses and hidings of the trainings of a dataset."""
    complete = {'asl', *NO_MARGIN}
    if head == 'linear':
        complete |= {'bce', *(BALANCED if dataset == 'coco18' else ())}
    methods = dict(linear=PARTIAL, csra=(), mldecoder=OF_ML_DECODER)[head]
    loses = (dataset, head) == ('coco18', 'mldecoder')
    return [
        *((method, 'none') for method in sorted(complete)),
        *(
            (method, hiding)
            for hiding in HIDINGS
            for method in methods
            if hiding != 'single' or method not in NEED_NEGATIVES
        ),
        *((method, TURNED) for method in OF_TURNED if dataset == 'coco18'),
        *([(SLOW, 'none'), ('asl', FEWER)] if loses else ()),
    ]


def rows_with_share(targets: Tensor, share: float) -> Tensor:
    """Return rows of which that share has the most frequent class: all without it, some with it."""
    has = targets[:, (targets == 1).sum(0).argmax()] == 1
    with_it, without = has.nonzero()[:, 0], (~has).nonzero()[:, 0]
    count = int(len(without) * share / (1 - share))
    drawn = torch.randperm(len(with_it), generator=torch.Generator().manual_seed(0))
    return torch.cat([without, with_it[drawn[:count]]])


class Labels(Dataset):
    """Targets ``(N, C)`` as a dataset of which labels are counted."""

    def __init__(self, targets: Tensor):
        self.targets = targets.numpy()

    def __len__(self) -> int:
        return len(self.targets)

    def get_data_info(self, index: int) -> dict:
        """Return the labels of a photo."""
        return dict(gt_score=self.targets[index])


class Trainings:
    """All trainings of a dataset."""

    def __init__(self, dataset: str, head: str, out: Path):
        self.dataset = dataset
        self.head = head
        self.out = out
        self.study = Study('losses', out)
        self.feats, self.targets = {}, {}
        for split in ('train', 'test'):
            self.feats[split], self.targets[split] = features(dataset, split, out, head)

    def run(self, method: str, hiding: str, seed: int) -> None:
        """Train with one seed and store what is reached on the test photos."""
        settings = dict(dataset=self.dataset, run=run_name(method, hiding, self.head), seed=seed)
        if self.study.find(settings):
            return
        targets = hide(self.targets['train'], hiding, seed)
        lr, epochs = self._setting(method, hiding, targets, seed)
        start = time.perf_counter()
        rows = rows_with_share(targets, SHARE).tolist() if hiding == FEWER else range(len(targets))
        scores = self._scores(method, hiding, targets, rows, 'test', lr, epochs, seed)
        seconds = round(time.perf_counter() - start, 1)
        bins = self._bins(scores)
        most = self._ap_of_most_frequent(scores)
        outcome = dict(lr=lr, epochs=epochs, **bins, AP_most_frequent=most, seconds=seconds)
        record = self.study.add(settings, outcome, scores, self.targets['test'].numpy())
        print(self.dataset, settings['run'], seed, f'{record["mAP"]:.2f}', flush=True)

    def _setting(self, method: str, hiding: str, targets: Tensor, seed: int) -> tuple[float, int]:
        if self.head in SETTINGS:
            lr, epochs = SETTINGS[self.head][self.dataset]
            return SLOW_RATE if method == SLOW else lr, epochs
        fit, held_out = (part_of(range(len(targets)), split) for split in ('fit', 'held_out'))
        known = (self.targets['train'] if hiding == TURNED else targets)[held_out]
        if hiding == 'single':
            known = known.clamp(min=0)

        @cache
        def quality(lr: float, epochs: int) -> float:
            scores = self._scores(method, hiding, targets, fit, held_out, lr, epochs, seed)
            return mean_average_precision(scores, known.numpy())

        return best_setting(quality)

    def _scores(
        self,
        method: str,
        hiding: str,
        targets: Tensor,
        rows: Iterable[int],
        of: Iterable[int] | str,
        lr: float,
        epochs: int,
        seed: int,
    ) -> np.ndarray:
        """Train on rows of the training photos; return the logits of others, or of the test's.

        With ``TURNED`` targets they are negated: the logits of the classes themselves.
        """
        feats, targets = self.feats['train'][list(rows)], targets[list(rows)]
        cfg = dict((PARTIAL | BALANCED | NO_MARGIN | {SLOW: IGNORE_ASL})[method])
        sampler = None
        if threshold := cfg.pop('oversample_thr', None):
            sampler = ClassBalancedSampler(Labels(targets), threshold, seed=seed)
        if 'prior' in cfg:
            cfg['prior'] = self._prior(feats, targets, seed)
        loss = MODELS.build(dict(cfg, reduction='none'))
        if isinstance(loss, CountedLoss) and loss.counted:
            loss.set_class_counts((targets == 1).sum(0), (targets == 0).sum(0))
        torch.manual_seed(seed)
        head = HEADS[self.head](targets.shape[1], feats.shape[1])
        train(head, feats, targets, lr, epochs, loss, sampler)
        logits = predict(head, self.feats['test'] if of == 'test' else self.feats['train'][of])
        return -logits if hiding == TURNED else logits

    def _prior(self, feats: Tensor, targets: Tensor, seed: int) -> str:
        """Write the mean scores of a training that ignores what is unknown, at fixed settings."""
        torch.manual_seed(seed)
        head = HEADS[self.head](targets.shape[1], feats.shape[1])
        train(head, feats, targets, 1e-3, 10, MODELS.build(dict(IGNORE_BCE, reduction='none')))
        means = torch.from_numpy(predict(head, feats)).sigmoid().mean(0).tolist()
        path = self.out / f'lists/prior_{self.dataset}.json'
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({str(i): mean for i, mean in enumerate(means)}))
        return str(path)

    def in_bin(self, name: str) -> np.ndarray:
        """Return which classes are in one of ``BINS``."""
        low, high = BINS[name]
        fractions = (self.targets['train'] == 1).float().mean(0).numpy()
        return (low <= fractions) & (fractions < high)

    def _bins(self, scores: np.ndarray) -> dict[str, float]:
        means = {}
        for name in BINS:
            chosen = self.in_bin(name)
            targets = self.targets['test'].numpy()[:, chosen]
            means[f'mAP_{name}'] = mean_average_precision(scores[:, chosen], targets)
        return means

    def _ap_of_most_frequent(self, scores: np.ndarray) -> float:
        most = int((self.targets['train'] == 1).sum(0).argmax())
        targets = self.targets['test'].numpy()[:, [most]]
        return mean_average_precision(scores[:, [most]], targets)

    def compare(self, seeds: int) -> None:
        """Store the differences of ``BALANCED`` to BCE, of all classes and of the rare ones."""
        differences = Study('losses_differences', self.out)
        sets = {}
        for method in BALANCED:
            records = self.study.find(dict(dataset=self.dataset, run=run_name(method)))
            sets[method] = [self.study.scores(each)[0] for each in records[:seeds]]
        rare, targets = self.in_bin('rare'), self.targets['test'].numpy()
        for method in list(BALANCED)[1:]:
            for name, classes in dict(all=slice(None), rare=rare).items():
                key = dict(dataset=self.dataset, run=run_name(method), classes=name)
                if not differences.find(key | dict(seeds=seeds)):
                    first, second = (
                        [scores[:, classes] for scores in sets[each]] for each in (method, 'bce')
                    )
                    found = paired_difference(first, second, targets[:, classes])
                    differences.add(key | dict(other=run_name('bce'), seeds=seeds), found)


def main() -> None:
    """Parse the arguments and train what is not stored yet."""
    parser = argparse.ArgumentParser(description='Train with losses for unknown and rare labels.')
    parser.add_argument('--datasets', nargs='+', default=DATASETS, choices=DATASETS)
    parser.add_argument('--head', default='linear', choices=HEADS_OF_LOSSES)
    parser.add_argument('--labels', nargs='+', default=LABELS, choices=LABELS)
    parser.add_argument('--seeds', type=int, default=5, help='number of seeds')
    parser.add_argument('--threads', type=int, help='of PyTorch; by default all cores')
    parser.add_argument('--out', type=Path, default=OUT, help='for features and scores')
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    for dataset in args.datasets:
        trainings = Trainings(dataset, args.head, args.out)
        for seed in range(args.seeds):  # outermost, so that a part of it compares all losses
            for method, hiding in planned(dataset, args.head):
                if hiding in args.labels:
                    trainings.run(method, hiding, seed)
        if (dataset, args.head) == ('coco18', 'linear') and 'none' in args.labels:
            trainings.compare(args.seeds)


if __name__ == '__main__':
    main()
