"""A training step of ResNet-50 + ML-Decoder, beside a plain PyTorch loop, in float32 on the CPU.

Ours is ``configs/mldecoder/r50_coco.py`` through MMEngine's runner with all its hooks: schedule,
average of the weights, seeds, log. The peer is what the authors' ``train.py`` does, restated:
torchvision's ResNet-50, timm's ML-Decoder, their loss, ``torch.optim.Adam``, ``OneCycleLR``, and an
average over the state dict. Both take uint8 images from memory, batch them and bring them to
[0, 1] in the step; nothing is decoded or augmented on either side. A step of ours and one of the
peer's are timed in turn, from the end of the last one to the end of this one.
"""

import copy
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from comparison import Comparison, argument_parser, report
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmpretrain_mldecoder.engine.runners import launch

try:
    from timm_head import published_decoder
    from torchvision.models import resnet50
except ModuleNotFoundError as error:
    raise SystemExit(f'{error}: `make bench` installs the peers.') from None

CONFIG = Path(__file__).parents[1] / 'configs' / 'mldecoder' / 'r50_coco.py'
NUM_CLASSES = 80
DECAY = 0.9997


class RandomImages:
    """Uint8 images of noise with three labels each, all in memory."""

    def __init__(self, length: int, size: int):
        draw = np.random.default_rng(0)
        self.images = draw.integers(0, 256, (length, 3, size, size), dtype=np.uint8)
        self.labels = [draw.choice(NUM_CLASSES, 3, replace=False) for _ in range(length)]

    def __len__(self) -> int:
        return len(self.labels)


@DATASETS.register_module()
class RandomSamples(RandomImages, Dataset):
    """The images as MMPretrain's pipelines give them."""

    def __getitem__(self, index: int) -> dict:
        sample = DataSample().set_gt_label(torch.from_numpy(self.labels[index]))
        return dict(inputs=torch.from_numpy(self.images[index]), data_samples=sample)


class RandomTargets(RandomImages, Dataset):
    """The images as the authors' loop reads them."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        target = torch.zeros(NUM_CLASSES)
        target[self.labels[index]] = 1
        return torch.from_numpy(self.images[index]), target


class PlainModel(nn.Module):
    """torchvision's ResNet-50 without its pooling and classifier, and timm's ML-Decoder."""

    def __init__(self) -> None:
        super().__init__()
        network = resnet50()
        del network.avgpool, network.fc
        self.trunk = nn.Sequential()
        for name, module in network.named_children():
            self.trunk.add_module(name, module)
        self.head = published_decoder(NUM_CLASSES, NUM_CLASSES, 768, 2048)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.trunk(images))


def plain_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the asymmetric loss as the authors train with: gamma 4 and 0, clip 0.05, summed."""
    probability = torch.sigmoid(logits)
    probability_neg = (1 - probability + 0.05).clamp(max=1)
    loss = targets * torch.log(probability.clamp(min=1e-8))
    loss = loss + (1 - targets) * torch.log(probability_neg.clamp(min=1e-8))
    with torch.no_grad():
        own = probability * targets + probability_neg * (1 - targets)
        weight = torch.pow(1 - own, 4 * (1 - targets))
    return -(loss * weight).sum()


class PlainLoop:
    """The peer: :meth:`step` takes the next batch and trains on it."""

    def __init__(self, size: int, batch: int, steps: int):
        loader = DataLoader(RandomTargets(steps * batch, size), batch, shuffle=True)
        self.batches = iter(loader)
        self.model = PlainModel().train()
        self.average = copy.deepcopy(self.model).eval()
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            dict(params=[p for p in trainable if p.ndim < 2], weight_decay=0.0),
            dict(params=[p for p in trainable if p.ndim >= 2], weight_decay=1e-4),
        ]
        self.optimizer = torch.optim.Adam(groups, lr=1e-4)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=1e-4, total_steps=100 * steps, pct_start=0.2
        )

    def step(self) -> None:
        """Train on one batch."""
        images, targets = next(self.batches)
        loss = plain_loss(self.model(images.float() / 255), targets)
        self.model.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            pairs = zip(
                self.average.state_dict().values(), self.model.state_dict().values(), strict=True
            )
            for average, value in pairs:
                average.copy_(DECAY * average + (1 - DECAY) * value)
        loss.item()  # the authors print it


class Turns(Hook):
    """Times the runner's steps, and lets the peer take one after each."""

    priority = 'LOWEST'

    def __init__(self, peer: PlainLoop):
        self.peer = peer
        self.ours, self.theirs = [], []

    def before_train_epoch(self, runner) -> None:
        self.start = time.perf_counter()

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        between = time.perf_counter()
        self.ours.append(between - self.start)
        self.peer.step()
        self.start = time.perf_counter()
        self.theirs.append(self.start - between)


def runner_of(size: int, batch: int, steps: int, work_dir: str, options: dict) -> Runner:
    """Return the runner of the row, on random images, without validation and checkpoints."""
    config = Config.fromfile(CONFIG)
    dataset = dict(_delete_=True, type='RandomSamples', length=steps * batch, size=size)
    loader = dict(batch_size=batch, num_workers=0, persistent_workers=False, dataset=dataset)
    changes = dict(
        work_dir=work_dir,
        experiment_name=f'training_step_{size}',
        model=dict(backbone=dict(init_cfg=None)),
        train_dataloader=loader,
        train_cfg=dict(max_epochs=1),
        default_hooks=dict(checkpoint=None),
        log_level='ERROR',
    )
    config.merge_from_dict(changes)
    config.merge_from_dict(options)
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    return launch.build_runner(config)


def compare(size: int, batch: int, steps: int, warmup: int, options: dict) -> Comparison:
    """Return the row of one size."""
    torch.manual_seed(0)
    turns = Turns(PlainLoop(size, batch, warmup + steps))
    with tempfile.TemporaryDirectory() as work_dir:
        runner = runner_of(size, batch, warmup + steps, work_dir, options)
        runner.register_hook(turns)
        runner.train()
    return Comparison(
        what=f'training step, {batch} images of {size} px',
        ours=min(turns.ours[warmup:]),
        unit='s',
        peer=min(turns.theirs[warmup:]),
        peer_name='PyTorch loop, torchvision + timm',
        goal=1.2,
        note=f'float32, {torch.get_num_threads()} threads, the fewest seconds of {steps} steps',
    )


def main() -> None:
    """Time both and report."""
    parser = argument_parser('Time a training step beside a plain PyTorch loop.')
    parser.add_argument('--sizes', type=int, nargs='+', default=[224, 448], help='pixels')
    parser.add_argument('--batch', type=int, default=8, help='images a step')
    parser.add_argument('--steps', type=int, default=6, help='timed steps of each')
    parser.add_argument('--warmup', type=int, default=1, help='steps before that')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=launch.CfgOptions,
        default={},
        metavar='KEY=VALUE',
        help='change the config, such as compile=True',
    )
    args = parser.parse_args()
    rows = [
        compare(size, args.batch, args.steps, args.warmup, args.cfg_options) for size in args.sizes
    ]
    report(
        'training_step',
        rows,
        args.out,
        ('torch', 'torchvision', 'timm', 'mmengine', 'mmpretrain'),
    )


if __name__ == '__main__':
    main()
