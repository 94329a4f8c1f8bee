"""Images per second on one core, from file to batch: our pipelines, and PIL + torchvision.

Both sides read JPEGs, resize them to a square, for training also cut out a box and apply
RandAugment, and collate batches of 32 through torch's DataLoader without workers. The peer is the
pipeline of ML-Decoder's authors: PIL, torchvision's Resize and ToTensor, the randaugment package,
and a cutout drawn by PIL. Ours are the pipelines of the configs, through MMEngine's
default_collate; "fast" is the option of docs/augmentation.md.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from comparison import Comparison, argument_parser, report, seconds_in_turn
from mmcv.transforms import Compose
from mmengine import Config
from mmengine.dataset import default_collate
from mmpretrain.registry import TRANSFORMS
from photo_like import write_photos
from PIL import Image, ImageDraw
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import mmpretrain_mldecoder  # noqa: F401

CONFIGS = {
    224: Path(__file__).parents[1] / 'configs/_base_/datasets/coco2014_224.py',
    448: Path(__file__).parents[1] / 'configs/_base_/datasets/coco2014_448.py',
}
BATCH_SIZE = 32
TENSORS = "; our batch is uint8, normalised later on the device, the peer's is float32 in 0..1"
# The fast option of docs/augmentation.md: what replaces the first two steps of a pipeline.
FAST_224 = {0: dict(type='LoadScaledImage', min_side=200)}
FAST_448 = {1: dict(type='SquareResize', scale=448, antialias=False)}
FAST_LARGE = {0: dict(type='LoadScaledImage', min_side=448)}


class Photos(Dataset):
    """The least that a dataset does: hand each file to the pipeline."""

    def __init__(self, paths: list[Path], load: Callable[[Path], object]) -> None:
        self.paths = paths
        self.load = load

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> object:
        return self.load(self.paths[index])


class CutoutPIL:
    """Draw one box of half the side in one random colour, as the authors' helper does."""

    def __call__(self, img: Image.Image) -> Image.Image:
        width, height = img.size
        y, x = np.random.randint(height), np.random.randint(width)
        box = (
            max(0, x - width // 4),
            max(0, y - height // 4),
            min(width, x + width // 4),
            min(height, y + height // 4),
        )
        ImageDraw.Draw(img).rectangle(box, fill=tuple(np.random.randint(0, 256, 3).tolist()))
        return img


def our_loading(pipeline: list[dict]) -> Callable[[Path], dict]:
    """Return what a dataset of ours does with one file."""
    composed = Compose([TRANSFORMS.build(step) for step in pipeline])
    label = np.array([3, 17, 62])
    return lambda path: composed(dict(img_path=str(path), sample_idx=0, gt_label=label))


def peer_loading(side: int, training: bool) -> Callable[[Path], torch.Tensor]:
    """Return what the authors' dataset does with one file."""
    steps = [transforms.Resize((side, side)), transforms.ToTensor()]
    if training:
        steps[1:1] = [CutoutPIL(), rand_augment()]
    composed = transforms.Compose(steps)
    return lambda path: composed(Image.open(path).convert('RGB'))


def rand_augment() -> Callable[[Image.Image], Image.Image]:
    """Return the peer's RandAugment."""
    if not hasattr(np, 'int'):
        vars(np)['int'] = int  # the package is older than numpy 1.24, which took this name away
    try:
        from randaugment import RandAugment
    except ImportError as error:
        raise SystemExit('The peer is missing, the randaugment package: make bench') from error
    return RandAugment()


def epoch(paths: list[Path], load: Callable[[Path], object], collate: Callable | None) -> None:
    """Read all photos in batches, with the same random numbers each time."""
    np.random.seed(0)
    for _ in DataLoader(Photos(paths, load), BATCH_SIZE, collate_fn=collate):
        pass


def with_steps(pipeline: list[dict], steps: dict[int, dict]) -> list[dict]:
    """Return the pipeline with other steps in some places."""
    return [steps.get(i, step) for i, step in enumerate(pipeline)]


def distance(paths: list[Path], pipeline: list[dict], side: int) -> str:
    """Say how far the loaded and resized photos are from PIL's."""
    load = Compose([TRANSFORMS.build(step) for step in pipeline[:2]])
    distances = []
    for path in paths:
        theirs = Image.open(path).convert('RGB').resize((side, side), Image.Resampling.BILINEAR)
        ours = load(dict(img_path=str(path)))['img'][..., ::-1]
        distances.append(np.abs(ours.astype(np.int16) - np.asarray(theirs)).ravel())
    apart = np.concatenate(distances)
    return (
        f'decoded and resized {apart.mean():.3f} grey levels from PIL on average, 99 % within '
        f'{np.percentile(apart, 99):g}, the largest {apart.max()}'
    )


def compare(
    photos: str,
    paths: list[Path],
    side: int,
    fast: dict[int, dict],
    goals: tuple[float | None, float, float | None],
    repeats: int,
) -> list[Comparison]:
    """Time both pipelines of one size, ours as they are and with the fast option.

    Args:
        photos (str): What the photos are.
        paths (list[Path]): The photos.
        side (int): Pixels after the resize.
        fast (dict[int, dict]): The steps of the fast option.
        goals (tuple[float, float, float]): Of training, of it with the fast option, of evaluation.
        repeats (int): Timed rounds.
    """
    cfg = Config.fromfile(CONFIGS[side])
    ours = {
        'training': cfg.train_pipeline,
        'training, fast': with_steps(cfg.train_pipeline, fast),
        'evaluation': cfg.test_pipeline,
    }
    sides = {name: (our_loading(pipeline), default_collate) for name, pipeline in ours.items()}
    for name in ('training', 'evaluation'):
        sides[f'peer {name}'] = (peer_loading(side, name == 'training'), None)
    seconds = seconds_in_turn(
        {
            name: lambda load=load, collate=collate: epoch(paths, load, collate)
            for name, (load, collate) in sides.items()
        },
        repeats,
    )
    rows = []
    for (name, pipeline), goal in zip(ours.items(), goals, strict=True):
        peer = seconds['peer ' + name.removesuffix(', fast')]
        rows.append(
            Comparison(
                f'{name}, {photos} to {side} px',
                len(paths) / seconds[name],
                'photos/s',
                len(paths) / peer,
                'PIL + torchvision' + ('' if name == 'evaluation' else ' + randaugment'),
                goal,
                distance(paths, pipeline, side) + (TENSORS if name == 'training' else ''),
            )
        )
    return rows


def main() -> None:
    """Measure 448 px, 224 px, and photos of 12 megapixels."""
    parser = argument_parser(__doc__)
    parser.add_argument('--photos', type=Path, help='folder of JPEGs in place of drawn ones')
    parser.add_argument('--count', type=int, default=192, help='photos that are drawn')
    parser.add_argument('--large', type=int, default=6, help='large photos that are drawn')
    parser.add_argument('--repeats', type=int, default=3, help='timed rounds')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        if args.photos:
            paths = sorted(args.photos.rglob('*.jpg'))
            name = args.photos.name
        else:
            paths = write_photos(Path(folder), args.count, (480, 640))
            name = '640 x 480'
        large = write_photos(Path(folder), args.large, (3000, 4000), subsampled=True)
        rows = [
            *compare(name, paths, 448, FAST_448, (2.2, 3, 2), args.repeats),
            *compare(name, paths, 224, FAST_224, (2, 3.5, 2), args.repeats),
            *compare('12 megapixels', large, 448, FAST_LARGE, (None, 3, None), args.repeats),
        ]
    report(
        'data_pipeline',
        rows,
        args.out,
        ('torch', 'torchvision', 'pillow', 'randaugment', 'opencv-python', 'mmcv-lite'),
    )


if __name__ == '__main__':
    main()
