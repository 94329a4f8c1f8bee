"""Heads on frozen features: ``python -m benchmarks.accuracy.frozen_features [--help]``.

The feature maps of EfficientNet-Lite0 (ImageNet weights of the package, 224 px, squashed) are
computed once and kept as float16; ``--backbones`` and ``--sides`` take others. Every head is
trained on the same maps with AdamW, one cycle of the learning rate, batches of 64 and the
asymmetric loss, without its margin where most photos have a class. Learning rate and epochs are
chosen by the mAP on a fifth of the training photos, with the margin: first the rate, at 10 epochs,
as long as the next one is better, then 5 or 20 epochs at that rate.
The variants of ML-Decoder take what was chosen for it, of more than 100 classes for that with a
query for four classes, which takes a quarter of the time; on other maps heads take what was chosen
on those of Lite0 at 224 px. Then a head is trained on all training photos with each seed. What is
stored is left out when the program is started again.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.accuracy.heads import HEADS, LIKE, POOLED
from benchmarks.accuracy.photos import DATASETS, REPOSITORY, part_of, paths_and_targets
from benchmarks.accuracy.records import OUT, Study, best_of, mean_average_precision
from mmpretrain_mldecoder.analysis.audit.features import backbone_features
from mmpretrain_mldecoder.datasets.seeded_sampler import SeededSampler
from mmpretrain_mldecoder.engine.runners.launch import keep_freed_memory
from mmpretrain_mldecoder.fileio.atomic_write import atomic_write
from mmpretrain_mldecoder.layers.asymmetric_loss import asymmetric_loss

BATCH_SIZE = 64
IN_CHANNELS = 1280
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
FIRST_RATE = 1e-3
FIRST_EPOCHS, OTHER_EPOCHS = 10, (5, 20)
WEIGHT_DECAY = 1e-2
MANY_CLASSES = 100
MARGIN = 0.05


class Network(NamedTuple):
    """A backbone, and the height and width in pixels of the images that it sees."""

    backbone: str
    side: int

    def of(self, name: str) -> str:
        """Return a name of what is made of its maps."""
        return name if self == NETWORK else f'{name}-{self.backbone}-{self.side}px'


NETWORK = Network('lite0', 224)
BACKBONES = {f'lite{number}': f'EfficientNet-Lite{number}' for number in range(3)}


def features(
    dataset: str, split: str, out: Path, head: str = '', network: Network = NETWORK
) -> tuple[Tensor, Tensor]:
    """Return the feature maps of a split, or pooled maps, and the labels of its photos.

    Args:
        dataset (str): One of ``DATASETS``.
        split (str): ``'train'`` or ``'test'``.
        out (Path): Where they are stored, and computed if they are not.
        head (str): One of ``POOLED``, for pooled maps, or another. Defaults to ''.
        network (Network): Whose maps, of which images. Defaults to ``NETWORK``.

    Shape:
        - Maps: ``(N, C, H, W)`` float16, or ``(N, C)`` float32.
        - Targets: ``(N, K)`` float32: 1 present, 0 absent, -1 unknown.
    """
    path = out / 'features' / f'{network.of(dataset)}_{split}.npz'
    if not path.exists():
        cfg = Config.fromfile(REPOSITORY / f'configs/voc2007/linear_{network.backbone}.py')
        cfg.test_dataloader.num_workers = 0
        cfg.test_dataloader.dataset.pipeline[1].scale = network.side
        paths, labels = paths_and_targets(dataset, split, out)
        computed, unreadable = backbone_features(cfg, paths, Tensor.half)
        assert not unreadable
        with atomic_write(path) as temporary, temporary.open('wb') as file:
            np.savez(file, maps=computed, targets=labels.astype(np.float32))
    with np.load(path, allow_pickle=False) as arrays:
        maps, targets = torch.from_numpy(arrays['maps']), torch.from_numpy(arrays['targets'])
    if head in POOLED:
        maps = torch.cat([POOLED[head](some.float()) for some in maps.split(500)])
    return maps, targets


def train(
    head: nn.Module,
    maps: Tensor,
    targets: Tensor,
    lr: float,
    epochs: int,
    loss: Callable[[Tensor, Tensor], Tensor] = asymmetric_loss,
    sampler: SeededSampler | None = None,
    batch_size: int = BATCH_SIZE,
    after_epoch: Callable[[nn.Module], object] | None = None,
) -> None:
    """Train a head in place; ``torch.manual_seed`` decides dropout and, without sampler, the order.

    The loss is summed over the classes and averaged over the images, in bfloat16 autocast, which
    the processors this ran on compute in hardware.
    """
    keep_freed_memory()
    parameters = [each for each in head.parameters() if each.requires_grad]
    groups = [
        dict(params=[each for each in parameters if each.dim() > 1]),
        dict(params=[each for each in parameters if each.dim() <= 1], weight_decay=0.0),
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(maps if sampler is None else sampler) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.2, cycle_momentum=False
    )
    for epoch in range(epochs):
        head.train()
        MessageHub.get_current_instance().update_info('epoch', epoch)  # some losses depend on it
        if sampler is None:
            order = torch.randperm(len(maps))
        else:
            sampler.set_epoch(epoch)
            order = torch.tensor([int(row) for row in sampler])
        for rows in order.split(batch_size):
            with torch.autocast('cpu', torch.bfloat16):
                logits = head(maps[rows].float())
            optimizer.zero_grad()
            (loss(logits.float(), targets[rows]).sum() / len(rows)).backward()
            optimizer.step()
            schedule.step()
        if after_epoch is not None:
            after_epoch(head)


@torch.inference_mode()
def predict(head: nn.Module, maps: Tensor) -> np.ndarray:
    """Return the logits ``(N, K)`` float32."""
    head.eval()
    with torch.autocast('cpu', torch.bfloat16):
        parts = [head(rows.float()).float() for rows in maps.split(BATCH_SIZE)]
    return torch.cat(parts).numpy()


def in_most(targets: Tensor) -> bool:
    """Return whether more than half of the photos have a class, which the margin can lose."""
    return bool(((targets == 1).float().mean(0) > 0.5).any())


def best_setting(quality: Callable[[float, int], float]) -> tuple[float, int]:
    """Return learning rate and epochs: the best rate at 10 epochs, then the best number."""
    lr = best_of(RATES, FIRST_RATE, lambda rate: quality(rate, FIRST_EPOCHS))
    by_epochs = {epochs: quality(lr, epochs) for epochs in (*OTHER_EPOCHS, FIRST_EPOCHS)}
    return lr, max(by_epochs, key=by_epochs.__getitem__)


class Trainings:
    """All trainings of a dataset."""

    def __init__(self, dataset: str, out: Path):
        self.dataset = dataset
        self.out = out
        self.chosen = Study('frozen_features_choice', out)
        self.study = Study('frozen_features', out)
        self._features: dict[tuple[str, str, Network], tuple[Tensor, Tensor]] = {}

    def features(self, split: str, head: str, network: Network = NETWORK) -> tuple[Tensor, Tensor]:
        """Return maps, or pooled maps where that is the same, and targets."""
        key = split, head if head in POOLED else '', network
        if key not in self._features:
            stored = 'test' if split == 'test' else 'train'
            maps, targets = features(self.dataset, stored, self.out, head, network)
            rows = part_of(range(len(maps)), split)
            self._features[key] = maps[rows], targets[rows]
        return self._features[key]

    def choose(self, name: str) -> tuple[float, int]:
        """Return learning rate and epochs for a head, chosen on a fifth of the training photos."""
        name = LIKE.get(name, name)
        if name == 'mldecoder' and DATASETS[self.dataset] > MANY_CLASSES:
            name = 'mldecoder-quarter'
        return best_setting(lambda lr, epochs: self._held_out(name, lr, epochs))

    def _held_out(self, name: str, lr: float, epochs: int) -> float:
        """Return the mAP of a setting on the held-out photos, as stored or computed."""
        settings = dict(dataset=self.dataset, run=name, lr=lr, epochs=epochs)
        stored = self.chosen.find(settings)
        if not stored:
            scores, outcome = self._trained(name, 0, lr, epochs, MARGIN, 'fit', 'held_out')
            targets = self.features('held_out', name)[1]
            mean = mean_average_precision(scores, targets.numpy())
            stored = [self.chosen.add(settings, dict(mAP=mean, **outcome))]
        return stored[0]['mAP']

    def run(self, name: str, seed: int, network: Network = NETWORK) -> None:
        """Train a head with one seed and store what it reaches on the test photos."""
        settings = dict(dataset=self.dataset, run=network.of(name), seed=seed)
        if self.study.find(settings):
            return
        lr, epochs = self.choose(name)
        clip = 0.0 if in_most(self.features('train', name, network)[1]) else MARGIN
        scores, outcome = self._trained(name, seed, lr, epochs, clip, 'train', 'test', network)
        targets = self.features('test', name)[1]
        record = self.study.add(
            settings, dict(lr=lr, epochs=epochs, clip=clip, **outcome), scores, targets.numpy()
        )
        print(f'{self.dataset} {settings["run"]} seed {seed}: {record["mAP"]:.2f} mAP', flush=True)

    def measure_costs(self, name: str) -> None:
        """Store what a head costs, unless it is stored."""
        study, settings = Study('head_costs', self.out), dict(dataset=self.dataset, run=name)
        if not study.find(settings):
            study.add(settings, costs(name, DATASETS[self.dataset], IN_CHANNELS))

    def _trained(
        self,
        name: str,
        seed: int,
        lr: float,
        epochs: int,
        clip: float,
        train_split: str,
        test_split: str,
        network: Network = NETWORK,
    ) -> tuple[np.ndarray, dict]:
        maps, targets = self.features(train_split, name, network)
        torch.manual_seed(seed)
        head = HEADS[name](DATASETS[self.dataset], maps.shape[1])
        start = time.perf_counter()
        train(head, maps, targets, lr, epochs, partial(asymmetric_loss, clip=clip))
        seconds = time.perf_counter() - start
        scores = predict(head, self.features(test_split, name, network)[0])
        return scores, dict(seconds=round(seconds, 1), threads=torch.get_num_threads())


def costs(name: str, num_classes: int, in_channels: int, side: int = 7) -> dict[str, float]:
    """Return learnable parameters (M), GFLOPs and seconds of a training step of 64 maps."""
    head = HEADS[name](num_classes, in_channels)
    maps = torch.rand(BATCH_SIZE, in_channels, side, side)
    head.eval()
    with FlopCounterMode(display=False) as counter:
        head(maps[:1])
    targets = torch.zeros(BATCH_SIZE, num_classes)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        train(head, maps, targets, 1e-4, 1)
        seconds.append(time.perf_counter() - start)
    learnable = sum(each.numel() for each in head.parameters() if each.requires_grad)
    return dict(
        parameters=learnable / 1e6,
        gflops=counter.get_total_flops() / 1e9,
        step_seconds=min(seconds),
    )


def main() -> None:
    """Parse the arguments and train what is not stored yet."""
    parser = argparse.ArgumentParser(description='Train heads on frozen features.')
    parser.add_argument('--datasets', nargs='+', default=list(DATASETS), choices=DATASETS)
    parser.add_argument('--heads', nargs='+', default=list(HEADS), choices=HEADS)
    parser.add_argument('--seeds', type=int, default=5, help='number of seeds')
    parser.add_argument('--backbones', nargs='+', default=[NETWORK.backbone], choices=BACKBONES)
    parser.add_argument('--sides', type=int, nargs='+', default=[NETWORK.side], help='of images')
    parser.add_argument('--threads', type=int, help='of PyTorch; by default all cores')
    parser.add_argument('--costs', action='store_true', help='measure the costs instead')
    parser.add_argument('--out', type=Path, default=OUT, help='for features and scores')
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    for dataset in args.datasets:
        trainings = Trainings(dataset, args.out)
        for seed in range(args.seeds):  # outermost, so that a part of it compares all heads
            for name in args.heads:
                if args.costs:
                    trainings.measure_costs(name)
                else:
                    for network in map(Network._make, product(args.backbones, args.sides)):
                        trainings.run(name, seed, network)


if __name__ == '__main__':
    main()
