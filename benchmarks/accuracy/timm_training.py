"""timm's training script on the same photos: ``python -m benchmarks.accuracy.timm_training``.

``--timm FOLDER`` is a checkout of timm whose ``train.py`` has the multi-label task (1.0.31 and
later; the wheel lacks the script), run as it is on lists of photos (:mod:`.timm_lists`). Its
options come as near to the row ``linear_lite0`` as they can: the same weights, whole photos
squashed to a square, flip, one erased box, two operations of RandAugment, asymmetric loss, AdamW
without decay of 1-D weights, learning rate, cosine, EMA, channels-last, batches of 32.

timm draws the linear layer with a standard deviation of 0.13, we with 0.01, which a short training
feels: after 2 epochs at 64 px VOC has 10.7 mAP, with ``--head-init-scale`` 27.0, ours 28.0. So it
is scaled. timm has no unknown labels: a class with difficult objects only is absent in training.
The mAP is ours, on our labels of the test, where such a class is unknown.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import timm
import torch
from mmengine.runner import CheckpointLoader
from timm.data import ImageDataset, create_loader
from timm.models import load_state_dict

from benchmarks.accuracy.fine_tuning import Run, call, chosen_rate
from benchmarks.accuracy.photos import DATASETS, paths_and_targets
from benchmarks.accuracy.records import OUT, Study, mean_average_precision
from benchmarks.accuracy.timm_lists import RUN_SCRIPT, ListReader

MODEL = 'tf_efficientnet_lite0'
OPTIONS = f"""--task multilabel --val-split= --device cpu --channels-last --workers 1
--model {MODEL} --pretrained --head-init-scale 0.08 --batch-size 32
--scale 1 1 --ratio 0.5 2 --train-interpolation bilinear --hflip 0.5
--reprob 1 --remode const --aa rand-m9-n2-mstd101-p0.5-inc1
--loss asl --asl-gamma-neg 4 --asl-gamma-pos 0 --asl-clip 0.05
--opt adamw --weight-decay 1e-4 --sched cosine --sched-on-updates --warmup-prefix --min-lr 1e-10
--model-ema --model-ema-decay 0.99 --checkpoint-hist 1 --experiment timm""".split()


def write_list(dataset: str, split: str, out: Path, folder: Path) -> np.ndarray:
    """Write ``folder/SPLIT.json`` and return the labels ``(N, C)``: 1, 0 and -1 for unknown."""
    paths, targets = paths_and_targets(dataset, split, out)
    labels = (np.flatnonzero(row == 1).tolist() for row in targets)
    photos = list(zip(paths, labels, strict=True))
    (folder / f'{split}.json').write_text(json.dumps(photos))
    return targets


def write_weights(path: Path) -> None:
    """Write the package's ImageNet weights under timm's names."""
    published = CheckpointLoader.load_checkpoint(f'timm://{MODEL}.in1k', 'cpu', logger='silent')
    renamed = {
        name.replace('backbone.timm_model.', '').replace('head.fc.', 'classifier.'): value
        for name, value in published['state_dict'].items()
    }
    torch.save(renamed, path)


def options(settings: Run, lr: float, folder: Path) -> list[str]:
    """Return the options of the script; the rate rises in a fifth of the epochs, as in ours."""
    rise = max(1, settings.epochs // 5)
    values = {
        'data-dir': folder,
        'output': folder,
        'pretrained-path': folder / 'imagenet.pth',
        'num-classes': DATASETS[settings.dataset],
        'img-size': settings.size,
        'epochs': settings.epochs - rise,
        'warmup-epochs': rise,
        'lr': lr,
        'warmup-lr': lr / 25,
        'seed': settings.seed,
    }
    return [*OPTIONS, *(f'--{name}={value}' for name, value in values.items())]


@torch.inference_mode()
def predict(
    checkpoint: Path, use_ema: bool, photos: Path, num_classes: int, size: int
) -> np.ndarray:
    """Return the logits ``(N, C)`` of whole photos, squashed to a square."""
    model = timm.create_model(MODEL, num_classes=num_classes)
    model.load_state_dict(load_state_dict(str(checkpoint), use_ema))
    model.eval().to(memory_format=torch.channels_last)
    loader = create_loader(
        ImageDataset(str(photos.parent), ListReader(photos), target_transform=lambda _: 0),
        (3, size, size),
        batch_size=32,
        mean=model.pretrained_cfg['mean'],
        std=model.pretrained_cfg['std'],
        crop_pct=1.0,
        crop_mode='squash',
        device=torch.device('cpu'),
    )
    return torch.cat([model(images) for images, _ in loader]).numpy()


def run(settings: Run, script: Path, study: Study, out: Path) -> dict:
    """Train and test as timm does, unless the record is there, and return the record."""
    key = dict(dataset=settings.dataset, run=f'timm-{settings.name}', seed=settings.seed)
    if stored := study.find(key):
        return stored[0]
    lr = chosen_rate(settings, out)
    folder = (out / 'runs' / '_'.join(map(str, ('timm_training', *key.values())))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    photos = len(write_list(settings.dataset, settings.train_split, out, folder))
    targets = write_list(settings.dataset, settings.test_split, out, folder)
    write_weights(folder / 'imagenet.pth')
    start = time.perf_counter()
    call([sys.executable, '-c', RUN_SCRIPT, script, *options(settings, lr, folder)], folder)
    seconds = time.perf_counter() - start
    test = (folder / f'{settings.test_split}.json', DATASETS[settings.dataset], settings.size)
    scores, raw_scores = (
        predict(folder / 'timm/last.pth.tar', use_ema, *test) for use_ema in (True, False)
    )
    outcome = dict(
        lr=lr,
        mAP_raw=mean_average_precision(raw_scores, targets),
        seconds=round(seconds),
        images_per_second=round(settings.epochs * photos / seconds, 1),
        threads=torch.get_num_threads(),
        timm=timm.__version__,
    )
    return study.add(key, outcome, scores, targets)


def script_of(checkout: str) -> Path:
    """Return ``train.py`` of a checkout of timm; refuse one without the task."""
    script = Path(checkout).resolve() / 'train.py'
    if not script.is_file() or "'multilabel'" not in script.read_text():
        raise argparse.ArgumentTypeError(
            f"{script} is not timm's script with --task multilabel: give the folder of a checkout "
            f'of github.com/huggingface/pytorch-image-models at v{timm.__version__}'
        )
    return script


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the option for timm's checkout."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        '--timm', type=script_of, required=True, metavar='FOLDER', help='checkout of timm, v1.0.31'
    )
    parser.add_argument('--out', type=Path, default=OUT, help='for checkpoints and scores')
    return parser


def main() -> None:
    """Parse the arguments and train what is not stored yet."""
    parser = argument_parser("Fine-tune with timm's script.")
    parser.add_argument('--datasets', nargs='+', default=['voc2007'], choices=list(DATASETS))
    parser.add_argument('--seeds', type=int, default=2, help='number of seeds')
    args = parser.parse_args()
    study = Study('timm_training', args.out)
    for dataset in args.datasets:
        for seed in range(args.seeds):
            record = run(Run(dataset, 'linear', seed), args.timm, study, args.out)
            print(f'{dataset} seed {seed}: {record["mAP"]:.2f} mAP', flush=True)


if __name__ == '__main__':
    main()
