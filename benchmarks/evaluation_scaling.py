"""How the cost of an evaluation grows with images, classes and processes.

Gathering and AP of MultiLabelMAP over process groups of gloo on this machine, and a rule of thumb
fitted to it. The number of processes changes what each holds and what travels; AP is computed by
the first process, once.
"""

import time

import numpy as np
import torch
import torch.distributed as dist
from comparison import Comparison, argument_parser, report
from gloo_processes import peak_megabytes, run_in_processes

from mmpretrain_mldecoder.evaluation import average_precision
from mmpretrain_mldecoder.evaluation.metrics.gather_rows import gather_rows

SIZES = ((5000, 80), (40000, 80), (5000, 1000), (5000, 9605))  # images, classes
BYTES = 5  # of a score (float32) and its target (int8)


def cost(rank: int, world_size: int, num_images: int, num_classes: int) -> dict[str, float]:
    """Return seconds of gathering and of AP, and by how many megabytes the peak grows (a rank)."""
    own = -(-num_images // world_size)
    rng = np.random.default_rng(rank)
    scores = torch.from_numpy(rng.random((own, num_classes), dtype=np.float32))
    targets = torch.zeros(own, num_classes, dtype=torch.int8)
    targets[torch.arange(own), torch.from_numpy(rng.integers(0, num_classes, own))] = 1
    targets[0] = 1  # no class is without positives
    gather_rows(scores[:1])  # the first contact of the processes is not counted
    before = peak_megabytes()
    dist.barrier()
    start = time.perf_counter()
    gathered = [gather_rows(rows) for rows in (torch.arange(own), scores, targets)]
    gather_seconds = time.perf_counter() - start
    megabytes = peak_megabytes() - before
    ap_seconds = 0.0
    if rank == 0:
        _, scores, targets = gathered
        start = time.perf_counter()
        average_precision(scores.numpy(), targets.numpy())
        ap_seconds = time.perf_counter() - start
    return dict(gather=gather_seconds, ap=ap_seconds, megabytes=megabytes)


def main() -> None:
    """Measure, fit and report."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        '--processes', type=int, nargs='+', default=[1, 2, 4], help='sizes of the process group'
    )
    args = parser.parse_args()
    rows, millions, ap_seconds, gathered_millions, gather_seconds = [], [], [], [], []
    for num_images, num_classes in SIZES:
        million = num_images * num_classes / 1e6
        for world_size in args.processes:
            ranks = run_in_processes(cost, world_size, num_images, num_classes)
            first = ranks[0]
            millions.append(million)
            ap_seconds.append(first['ap'])
            if world_size > 1:
                gathered_millions.append(million)
                gather_seconds.append(first['gather'])
            plural = 'es' if world_size > 1 else ''
            what = f'{num_images:,} x {num_classes:,}, {world_size} process{plural}'
            held = million * BYTES / world_size
            rows += [
                Comparison(f'{what}: AP', first['ap'], 's'),
                Comparison(
                    f'{what}: gathering',
                    first['gather'],
                    's',
                    note=f'a rank holds {held:.3g} MB; the peak of the first grows by '
                    f'{first["megabytes"]:.3g} MB',
                ),
            ]
            print(what, first, flush=True)
    # Least squares through the origin: what a million scores cost where they are many.
    rows.append(Comparison('rule: AP of a million scores', _slope(millions, ap_seconds), 's'))
    if gather_seconds:
        rows.append(
            Comparison(
                'rule: gathering a million scores',
                _slope(gathered_millions, gather_seconds),
                's',
                note=f'memory of scores and targets: images x classes x {BYTES} bytes',
            )
        )
    report('evaluation_scaling', rows, args.out, ('numpy', 'torch', 'mmengine'))


def _slope(x: list[float], y: list[float]) -> float:
    return float(np.dot(x, y) / np.dot(x, x))


if __name__ == '__main__':
    main()
