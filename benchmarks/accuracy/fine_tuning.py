"""Whole networks, fine-tuned: ``python -m benchmarks.accuracy.fine_tuning [--help]``.

Each run is a config that is written to ``work_dirs/accuracy/runs`` and trained by
``tools/train.py``, which resumes, then tested by ``tools/test.py`` on photos that chose nothing.
It is ``configs/voc2007/HEAD_lite0.py`` on other splits, with what is compared changed: ImageNet
weights of the package, flip, cutout and RandAugment, asymmetric loss, AdamW, one cycle, average of
the weights; batch norms keep their statistics, and the backbone learns at a tenth of the head's
rate. That of each head, as the config has it, is chosen on a fifth of the training photos of VOC,
at 160 px and 4 epochs: from 3e-3 on as long as the next one is better. ``--few-photos`` draws some
of the training photos with the seed. What is stored is left out when the program is started again.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from benchmarks.accuracy.photos import DATASETS, REPOSITORY, dataset_cfg, paths_and_targets
from benchmarks.accuracy.records import OUT, Study, best_of, mean_average_precision
from mmpretrain_mldecoder.analysis.report.test_run import read_test_run
from mmpretrain_mldecoder.checkpoints.resume import find_resume_checkpoint
from mmpretrain_mldecoder.start.run_config import MOST_QUERIES

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
FIRST_RATE = 3e-3
HEADS = ('linear', 'csra', 'mldecoder')
LOSSES: dict[str, dict] = {
    'asl': dict(type='DetachedAsymmetricLoss'),
    'asl-no-margin': dict(type='DetachedAsymmetricLoss', clip=0.0),
    'bce': dict(type='DetachedAsymmetricLoss', gamma_neg=0.0, gamma_pos=0.0, clip=0.0),
    'db': dict(type='TIMMLoss', loss_type='db', class_counts='auto'),
    **{name: dict(type='TIMMLoss', loss_type=name) for name in ('poly', 'twoway', 'zlpr')},
}
FEW_PHOTOS, EPOCHS_OF_FEW = (250, 500), 20
# Pixels and loss. Most photos of COCO-18 show a person, whom the margin of the loss can lose.
MAIN_SETTINGS = dict(
    voc2007=[(224, 'asl')],
    coco18=[(224, 'asl-no-margin'), (160, 'asl-no-margin'), (160, 'asl')],
    corel5k=[(160, 'asl')],
)
AUGMENTATIONS = dict(flip='RandomFlip', cutout='RandomCutout', randaugment='TwoOpRandAugment')


@dataclass(frozen=True)
class Run:
    """A training: what it is trained on, with what, and how."""

    dataset: str
    head: str
    seed: int = 0
    backbone: str = 'lite0'
    size: int = 224
    epochs: int = 5
    loss: str = 'asl'
    augmentation: str = 'flip+cutout+randaugment'
    lr_mult: float = 0.1  # of the backbone
    norm_eval: bool = True
    lr: float | None = None  # chosen on held-out photos
    train_split: str = 'train'
    test_split: str = 'test'
    photos: int | None = None  # of the training split

    @property
    def name(self) -> str:
        """All settings but data set and seed, in one word."""
        parts = [self.head, self.backbone, f'{self.size}px', f'{self.epochs}e', self.loss]
        parts.append(self.augmentation.replace('+', ''))
        parts.append(f'backbone{self.lr_mult:g}')
        parts += ['normeval'] * self.norm_eval
        return '-'.join(parts if self.photos is None else [*parts, f'{self.photos}photos'])

    def config(self, lr: float, out: Path) -> Config:
        """Return the config of the run."""
        cfg = Config.fromfile(REPOSITORY / f'configs/voc2007/{self.head}_{self.backbone}.py')
        num_classes = DATASETS[self.dataset]
        cfg.model.backbone.norm_eval = self.norm_eval
        cfg.model.head.update(num_classes=num_classes, loss=dict(LOSSES[self.loss]))
        if self.head == 'mldecoder':
            cfg.model.head.num_groups = min(num_classes, MOST_QUERIES)
        cfg.data_preprocessor.num_classes = num_classes
        left_out = {*AUGMENTATIONS} - {*self.augmentation.split('+')}
        for loader, split in (
            (cfg.train_dataloader, self.train_split),
            (cfg.val_dataloader, self.test_split),
            (cfg.test_dataloader, self.test_split),
        ):
            unwanted = [AUGMENTATIONS[name] for name in left_out]
            pipeline = [step for step in loader.dataset.pipeline if step.type not in unwanted]
            pipeline[1].scale = self.size
            pipeline[-1].num_classes = num_classes
            loader.dataset = dict(
                dataset_cfg(self.dataset, split, out),
                pipeline=pipeline,
                test_mode=split == self.test_split,
            )
            loader.num_workers = 1
        if self.photos is not None:
            found = len(paths_and_targets(self.dataset, self.train_split, out)[0])
            order = np.random.default_rng(self.seed).permutation(found)
            cfg.train_dataloader.dataset.indices = sorted(order[: self.photos].tolist())
        cfg.train_cfg.max_epochs = self.epochs
        cfg.optim_wrapper.optimizer.lr = lr
        backbone = dict(lr_mult=self.lr_mult)
        cfg.optim_wrapper.paramwise_cfg = dict(custom_keys=dict(backbone=backbone))
        cfg.default_hooks.checkpoint.update(save_best=None, max_keep_ckpts=1)
        cfg.randomness.seed = self.seed
        return cfg


def run(settings: Run, study: Study, out: Path) -> dict:
    """Train and test, unless the record is there, and return the record.

    Checkpoint and log stay in ``out/runs``; ``mAP`` is that of the averaged weights.
    """
    key = dict(asdict(settings), run=settings.name)
    lr = key.pop('lr')
    if lr is not None:
        key['lr'] = lr
    if stored := study.find(key):
        return stored[0]
    if lr is None:
        lr = chosen_rate(settings, out)
    folder = run_folder(settings, study, lr, out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / 'config.py'
    settings.config(lr, out).dump(config)
    resumed = find_resume_checkpoint(folder) is not None
    start = time.perf_counter()
    tools, work_dir = REPOSITORY / 'tools', ('--work-dir', folder)
    call(
        [sys.executable, tools / 'train.py', config, *work_dir, '--resume', '--no-validate'], folder
    )
    seconds = round(time.perf_counter() - start)
    checkpoint = find_resume_checkpoint(folder)
    dump = folder / 'scores.pkl'
    call([sys.executable, tools / 'test.py', config, checkpoint, *work_dir, '--out', dump], folder)
    test = read_test_run(dump)
    dump.unlink()
    assert test.raw_scores is not None  # the hook averages in every run
    outcome = dict(
        lr=lr,
        mAP_raw=mean_average_precision(test.raw_scores, test.targets),
        seconds=None if resumed else seconds,
        threads=torch.get_num_threads(),
    )
    return study.add(key, outcome, test.scores, test.targets)


def run_folder(settings: Run, study: Study, lr: float, out: Path) -> Path:
    """Return the work dir of a run."""
    words = (study.path.stem, settings.dataset, settings.name, f'{lr:g}', settings.seed)
    return out / 'runs' / '_'.join(map(str, words))


def call(command: list, folder: Path) -> str:
    """Run a command in the repository and return its output, which goes to ``stdout.txt``, too."""
    words = list(map(str, command))
    log = folder / 'stdout.txt'
    with log.open('a+') as file:
        begin = file.tell()
        status = subprocess.run(
            words, stdout=file, stderr=subprocess.STDOUT, cwd=REPOSITORY
        ).returncode
        file.seek(begin)
        text = file.read()
    if status:
        tail = '\n'.join(text.splitlines()[-15:])
        raise SystemExit(f'{" ".join(words)} failed ({log}):\n{tail}')
    return text


def chosen_rate(settings: Run, out: Path) -> float:
    """Return the learning rate with the best mAP on held-out photos of VOC."""
    study = Study('fine_tuning_choice', out)
    splits = dict(train_split='fit', test_split='held_out')
    of_run = dict(lr_mult=settings.lr_mult, norm_eval=settings.norm_eval)
    base = Run('voc2007', settings.head, size=160, epochs=4, **splits, **of_run)
    return best_of(RATES, FIRST_RATE, lambda lr: run(replace(base, lr=lr), study, out)['mAP'])


def main_run(dataset: str, head: str, seed: int = 0, setting: int = 0) -> Run:
    """Return a run of the main table, with the setting that other tables have, too, or another."""
    size, loss = MAIN_SETTINGS[dataset][setting]
    return Run(dataset, head, seed, size=size, loss=loss)


def main_runs() -> list[Run]:
    """Return the runs of the main table: three heads, all datasets, two seeds."""
    return [
        main_run(dataset, head, seed, setting)
        for dataset, settings in MAIN_SETTINGS.items()
        for setting in range(len(settings))
        for seed in range(2)
        for head in HEADS
    ]


def ablation_runs() -> dict[str, dict]:
    """Return what is changed, by its words in the table; 160 px where the size is not the change.

    One seed, ML-Decoder and the linear head.
    """
    return {
        '-': dict(size=160),
        **{f'loss {loss}': dict(size=160, loss=loss) for loss in LOSSES if loss != 'asl'},
        'no augmentation': dict(size=160, augmentation='none'),
        'flip alone': dict(size=160, augmentation='flip'),
        'cutout + RandAugment, no flip': dict(size=160, augmentation='cutout+randaugment'),
        'backbone at the rate of the head': dict(size=160, lr_mult=1.0),
        'batch norms with the statistics of batches': dict(size=160, norm_eval=False),
        'EfficientNet-Lite1': dict(size=160, backbone='lite1'),
        'EfficientNet-Lite2': dict(size=160, backbone='lite2'),
        'EfficientNet-Lite2 and 320 px': dict(size=320, backbone='lite2'),
        '224 px': {},
        '260 px': dict(size=260),
        '288 px': dict(size=288),
    }


def few_photo_run(head: str, photos: int, seed: int = 0) -> Run:
    """Return a run on some photos of VOC."""
    return Run('voc2007', head, seed, size=160, epochs=EPOCHS_OF_FEW, photos=photos)


def main() -> None:
    """Parse the arguments and train what is not stored yet."""
    parser = argparse.ArgumentParser(description='Fine-tune networks.')
    parser.add_argument('--datasets', nargs='+', default=list(DATASETS))
    parser.add_argument('--heads', nargs='+', default=HEADS, choices=HEADS)
    parser.add_argument('--seeds', type=int, default=2, help='number of seeds')
    parser.add_argument(
        '--ablations', nargs='*', metavar='CHANGE', help='train these instead; by default all'
    )
    parser.add_argument('--few-photos', action='store_true', help='train these instead')
    parser.add_argument('--out', type=Path, default=OUT, help='for checkpoints and scores')
    args = parser.parse_args()
    study = Study('fine_tuning', args.out)
    runs = main_runs()
    if args.ablations is not None:
        changes = ablation_runs()
        runs = [
            Run('voc2007', head, **changes[name])
            for name in args.ablations or changes
            for head in ('mldecoder', 'linear')
        ]
    if args.few_photos:
        runs = [
            few_photo_run(head, photos, seed)
            for seed in range(args.seeds)
            for photos in FEW_PHOTOS
            for head in HEADS
        ]
    for each in runs:
        if each.dataset in args.datasets and each.head in args.heads and each.seed < args.seeds:
            record = run(each, study, args.out)
            print(
                f'{each.dataset} {each.name} seed {each.seed}: {record["mAP"]:.2f} mAP', flush=True
            )


if __name__ == '__main__':
    main()
