"""How the cost of an evaluation grows with images, classes and processes.

MultiLabelMAP over process groups of gloo on this machine, with scores made on the spot, and a rule
of thumb fitted to it. ``--images 40504 --classes 9605 --processes 4`` measures one case.
"""

import time

import numpy as np
import torch.distributed as dist
from comparison import Comparison, argument_parser, report
from gloo_processes import peak_megabytes, run_in_processes

from mmpretrain_mldecoder.evaluation import MultiLabelMAP

SIZES = ((5000, 80), (40000, 80), (5000, 1000), (5000, 9605))  # images, classes
BATCH = 32
BYTES = 5  # of a score (float32) and its target (int8)


def cost(rank: int, world_size: int, num_images: int, num_classes: int) -> dict[str, float]:
    """Return seconds of the evaluation, the mAP, and a rank's megabytes before it and at its peak.

    The scores are those of the image, whatever the number of ranks.
    """
    metric = MultiLabelMAP()
    own = range(rank, num_images, world_size)
    for start in range(0, len(own), BATCH):
        images = own[start : start + BATCH]
        # What `process` keeps of a batch; its data samples would cost more than what is measured.
        scores = np.empty((len(images), num_classes), np.float32)
        targets = np.zeros((len(images), num_classes), np.int8)
        for row, image in enumerate(images):
            rng = np.random.default_rng(image)
            scores[row] = rng.random(num_classes, dtype=np.float32)
            targets[row, rng.integers(0, num_classes, 3)] = 1
        targets[:, :] |= np.array(images)[:, None] == 0  # no class is without positives
        metric.results.append(dict(sample_idx=np.array(images), scores=scores, targets=targets))
    dist.barrier()
    before = peak_megabytes()
    start = time.perf_counter()
    value = metric.evaluate(num_images)['coco/mAP']
    seconds = time.perf_counter() - start
    return dict(seconds=seconds, value=value, before=before, peak=peak_megabytes())


def main() -> None:
    """Measure, fit and report."""
    parser = argument_parser(__doc__)
    parser.add_argument('--images', type=int, help='of one case, instead of all')
    parser.add_argument('--classes', type=int, default=80, help='of that case')
    parser.add_argument(
        '--processes', type=int, nargs='+', default=[1, 2, 4], help='sizes of the process group'
    )
    args = parser.parse_args()
    sizes = ((args.images, args.classes),) if args.images else SIZES
    rows, millions, seconds = [], {}, {}
    for num_images, num_classes in sizes:
        million = num_images * num_classes / 1e6
        for world_size in args.processes:
            ranks = run_in_processes(cost, world_size, num_images, num_classes)
            first, peaks = ranks[0], [rank['peak'] for rank in ranks]
            grown = max(rank['peak'] - rank['before'] for rank in ranks)
            millions.setdefault(world_size, []).append(million)
            seconds.setdefault(world_size, []).append(first['seconds'])
            plural = 'es' if world_size > 1 else ''
            what = f'{num_images:,} x {num_classes:,}, {world_size} process{plural}'
            rows += [
                Comparison(what, first['seconds'], 's', note=f'mAP {first["value"]:.9f}'),
                Comparison(
                    f'{what}: peak of a rank',
                    max(peaks),
                    'MB',
                    note=f'it holds {million * BYTES / world_size:.3g} MB of scores and targets; '
                    f'the evaluation adds {grown:.3g} MB; the least of a rank is {min(peaks):.0f}',
                ),
            ]
            print(what, first, flush=True)
    # Least squares through the origin: what a million scores cost where they are many.
    for world_size, values in seconds.items():
        rule = _slope(millions[world_size], values)
        plural = 'es' if world_size > 1 else ''
        what = f'rule: a million scores, {world_size} process{plural}'
        rows.append(Comparison(what, rule, 's'))
    report('evaluation_scaling', rows, args.out, ('numpy', 'torch', 'mmengine'))


def _slope(x: list[float], y: list[float]) -> float:
    return float(np.dot(x, y) / np.dot(x, x))


if __name__ == '__main__':
    main()
