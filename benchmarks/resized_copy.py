"""Training images per second on one core, from a resized copy and from the originals.

Both sides are the training pipelines of the configs and MMEngine's default_collate; the copies
are made by the code behind tools/dataset_tools/resize.py. The notes tell the size of the files
and how far the pixels of the copy are from those that training makes of the originals.
"""

import tempfile
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

import mmpretrain_mldecoder  # noqa: F401
from mmpretrain_mldecoder.datasets.resized_copy import make_resized_copy

CONFIGS = Path(__file__).parents[1] / 'configs/_base_/datasets'
BATCH_SIZE = 32
# Size that the network gets, size of the copy.
CASES = ((448, 448), (224, 448), (224, 224))


def train_pipeline(side: int) -> list[dict]:
    """Return the training pipeline of the COCO configs."""
    return Config.fromfile(CONFIGS / f'coco_{side}.py').train_pipeline


def batches(paths: list[Path], pipeline: Compose) -> None:
    """Make the samples and collate them, with the same random numbers each time."""
    np.random.seed(0)
    label = np.array([3, 17, 62])
    for start in range(0, len(paths), BATCH_SIZE):
        default_collate(
            [
                pipeline(dict(img_path=str(path), sample_idx=0, gt_label=label))
                for path in paths[start : start + BATCH_SIZE]
            ]
        )


def distance(paths: list[Path], copies: list[Path], side: int) -> str:
    """Say how far the resized pixels from the copy are from those from the originals."""
    resize = Compose([TRANSFORMS.build(step) for step in train_pipeline(side)[:2]])
    counts = np.zeros(256, np.int64)
    for path, copy in zip(paths, copies, strict=True):
        ours, theirs = (resize(dict(img_path=str(p)))['img'] for p in (copy, path))
        counts += np.bincount(cv2.absdiff(ours, theirs).ravel(), minlength=256)
    shares = np.cumsum(counts) / counts.sum()
    return (
        f'{counts @ np.arange(256) / counts.sum():.2f} grey levels apart on average, 99 % within '
        f'{np.searchsorted(shares, 0.99)}, the largest {np.flatnonzero(counts)[-1]}'
    )


def compare(root: Path, folder: Path, repeats: int, quality: int) -> list[Comparison]:
    """Make the copies and time each case beside the originals."""
    paths = sorted(root.rglob('*.jpg'))
    functions, copies, megabytes = {}, {}, {}
    for size in (448, 224):
        copy = make_resized_copy(root, folder / str(size), size, quality)
        copies[size] = [folder / str(size) / path.relative_to(root) for path in paths]
        megabytes[size] = copy.bytes_after / 1e6
        pipeline = Compose([TRANSFORMS.build(step) for step in train_pipeline(size)])
        functions[size, 0] = lambda pipeline=pipeline: batches(paths, pipeline)
        for side, of_copy in CASES:
            if side == size:
                functions[side, of_copy] = lambda pipeline=pipeline, of_copy=of_copy: batches(
                    copies[of_copy], pipeline
                )
    seconds = seconds_in_turn(functions, repeats)
    before = sum(path.stat().st_size for path in paths) / 1e6
    return [
        Comparison(
            f'training at {side} px from a copy of {size} px',
            len(paths) / seconds[side, size],
            'photos/s',
            len(paths) / seconds[side, 0],
            'the originals',
            note=f'{before:.1f} MB before, {megabytes[size]:.1f} MB in the copy; '
            + distance(paths, copies[size], side),
        )
        for side, size in CASES
    ]


def main() -> None:
    """Run the comparison."""
    parser = argument_parser(__doc__)
    parser.add_argument('--photos', type=Path, help='folder of JPEGs in place of drawn ones')
    parser.add_argument('--count', type=int, default=192, help='photos that are drawn')
    parser.add_argument('--quality', type=int, default=95, help='of the copies')
    parser.add_argument('--repeats', type=int, default=5, help='timed rounds')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        root = args.photos
        if root is None:
            root = Path(folder, 'photos')
            root.mkdir()
            write_photos(root, args.count, (480, 640))
        rows = compare(root, Path(folder, 'copies'), args.repeats, args.quality)
    report('resized_copy', rows, args.out, ('torch', 'opencv-python', 'opencv-python-headless'))


if __name__ == '__main__':
    main()
