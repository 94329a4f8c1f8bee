"""mAP of large evaluations, and gathering it across processes, beside the peers.

The authors' loop is a restatement: their evaluation has no package. PaddleClas' metric is run where
``PADDLECLAS`` names a checkout of its repository, in the interpreter of ``make test-peers``.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from comparison import Comparison, argument_parser, report, seconds_in_turn
from gloo_processes import peak_megabytes, run_in_processes
from mmengine.dist import collect_results
from mmpretrain.evaluation import AveragePrecision

from mmpretrain_mldecoder.evaluation import MultiLabelMAP, average_precision
from mmpretrain_mldecoder.evaluation.metrics.gather import gather_batches

try:
    from sklearn.metrics import average_precision_score
    from torchmetrics.functional.classification import multilabel_average_precision
except ModuleNotFoundError as error:
    raise SystemExit(f'{error}: `make bench` installs the peers.') from None

sys.path.append(str(Path(__file__).parents[1] / 'tests' / 'peers'))
from peer_python import paddle_python, run_paddle

# Images, classes, share of positives, timed rounds: COCO's validation split of 2014, and Open
# Images' classes.
CASES = ((40137, 80, 0.036, 3), (5000, 9605, 0.002, 1))
PADDLE_IMAGES = 4000  # its loops over Python lists take minutes and gigabytes for all
BATCH = 64


def make_case(
    num_images: int, num_classes: int, share: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and targets ``(N, C)``, float32 and int8; no class is without positives."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((num_images, num_classes), dtype=np.float32) < share).astype(np.int8)
    targets[0] = 1
    # Positives score higher, as those of a trained model do; few scores are equal.
    scores = 1 / (1 + np.exp(3 - 3 * targets - rng.normal(0, 1, targets.shape)))
    return scores.astype(np.float32), targets


def authors_loop(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """AP per class as the authors' code works it out, restated.

    Samples from the best score to the worst; at each positive, the share of positives up to there;
    the sum of these over the number of positives. Each sample is a threshold: ties are not one.
    """
    result = np.empty(scores.shape[1])
    ranks = np.arange(1, len(scores) + 1)
    for label in range(scores.shape[1]):
        order = np.argsort(scores[:, label])[::-1]
        positive = targets[order, label] == 1
        hits = np.cumsum(positive)
        result[label] = (hits * positive / ranks).sum() / (hits[-1] + 1e-8)
    return result


def peer_functions(scores: np.ndarray, targets: np.ndarray) -> dict:
    """Return the peers as calls that give AP per class; each gets the types that it wants."""
    scores_tensor, targets_tensor = torch.from_numpy(scores), torch.from_numpy(targets).long()
    return {
        "the authors' numpy loop": lambda: authors_loop(scores, targets),
        'scikit-learn': lambda: average_precision_score(targets, scores, average=None),
        'torchmetrics': lambda: multilabel_average_precision(
            scores_tensor, targets_tensor, scores.shape[1], average='none', thresholds=None
        ).numpy(),
        'MMPretrain': lambda: (
            AveragePrecision.calculate(scores_tensor, targets_tensor, average=None).numpy() / 100
        ),
    }


def compare_peers(num_images: int, num_classes: int, share: float, repeats: int) -> list:
    """Return a row for each peer; the goal is on the fastest."""
    scores, targets = make_case(num_images, num_classes, share)
    peers = peer_functions(scores, targets)
    ap = average_precision(scores, targets)
    values = {}

    def keep_value(name: str) -> Callable[[], None]:
        def call() -> None:
            values[name] = peers[name]()

        return call

    seconds = seconds_in_turn({name: keep_value(name) for name in peers}, repeats, warmup=0)
    apart = {name: np.abs(value - ap).max() for name, value in values.items()}
    fast = {"the authors' numpy loop": peers["the authors' numpy loop"]}
    fast['ours'] = lambda: average_precision(scores, targets)
    seconds |= seconds_in_turn(fast)
    fastest = min(peers, key=seconds.get)
    return [
        Comparison(
            what=f'AP of {num_images:,} x {num_classes:,}',
            ours=seconds['ours'],
            unit='s',
            peer=seconds[name],
            peer_name=name,
            goal=1.5 if name == fastest else None,
            note=f'{name} is at most {apart[name]:.1g} apart in the AP of a class',
        )
        for name in peers
    ]


def compare_paddleclas(num_images: int) -> list:
    """Return the row of PaddleClas' metric; none, and a line that says why, where it is absent."""
    checkout = os.environ.get('PADDLECLAS')
    if not checkout or not paddle_python().exists():
        print(
            'PaddleClas is left out: set PADDLECLAS to a checkout of its repository, and run '
            '`make test-peers` for PaddlePaddle (or set PADDLE_PYTHON).'
        )
        return []
    scores, targets = make_case(num_images, *CASES[0][1:3])
    with tempfile.TemporaryDirectory() as folder:
        # It takes logits.
        logits = np.log(scores / (1 - scores))
        np.savez(Path(folder, 'case.npz'), scores=logits, targets=targets.astype(np.int64))
        run_paddle('paddle_metric_seconds.py', folder, '--checkout', checkout)
        theirs = json.loads(Path(folder, 'seconds.json').read_text())
    seconds = seconds_in_turn(dict(ours=lambda: average_precision(logits, targets)))
    apart = abs(average_precision(logits, targets).mean() - theirs['mAP'])
    return [
        Comparison(
            what=f'AP of {num_images:,} x {scores.shape[1]}',
            ours=seconds['ours'],
            unit='s',
            peer=theirs['seconds'],
            peer_name='PaddleClas',
            note=f'the mAP is {apart:.1g} apart; its time grows with images x classes',
        )
    ]


def gather_cost(rank: int, world_size: int, num_images: int, num_classes: int, ours: bool) -> dict:
    """Return seconds and memory of bringing the results of all ranks together (in a rank)."""
    own = num_images // world_size
    metric = MultiLabelMAP() if ours else AveragePrecision()
    for start in range(0, own, BATCH):
        # Made batch by batch, so that nothing but the results has been held when the peak is read.
        scores, targets = make_case(min(BATCH, own - start), num_classes, 0.036, seed=start)
        batch = [
            dict(
                sample_idx=(start + i) * world_size + rank,
                pred_score=torch.from_numpy(score),
                gt_label=torch.from_numpy(np.flatnonzero(target)),
            )
            for i, (score, target) in enumerate(zip(scores, targets, strict=True))
        ]
        metric.process(None, batch)

    def gather() -> object:
        if not ours:
            return collect_results(metric.results, own * world_size, metric.collect_device)
        return gather_batches(metric.results, ('scores', 'targets'))

    before = peak_megabytes()
    dist.barrier()
    start = time.perf_counter()
    gather()
    return dict(seconds=time.perf_counter() - start, megabytes=peak_megabytes() - before)


def compare_gathering(num_images: int, num_classes: int) -> list:
    """Return two rows, time and memory, of the process that gets everything."""
    sizes = (num_images, num_classes)
    ours = run_in_processes(gather_cost, 2, *sizes, True)[0]
    theirs = run_in_processes(gather_cost, 2, *sizes, False)[0]
    what = f'gather {num_images:,} x {num_classes} of 2 processes'
    peer = "MMEngine's collect_results of MMPretrain's results"
    return [
        Comparison(f'{what}: time', ours['seconds'], 's', theirs['seconds'], peer),
        Comparison(
            f'{what}: memory',
            ours['megabytes'],
            'MB',
            theirs['megabytes'],
            peer,
            note='by how much the peak memory of the first process grows',
        ),
    ]


def main() -> None:
    """Measure and report."""
    parser = argument_parser(__doc__)
    parser.add_argument('--scale', type=float, default=1.0, help='share of the images of the AP')
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for num_images, *case in CASES:
        rows += compare_peers(int(num_images * args.scale), *case)
    rows += compare_paddleclas(int(PADDLE_IMAGES * args.scale))
    rows += compare_gathering(*CASES[0][:2])
    packages = ('numpy', 'scikit-learn', 'torchmetrics', 'mmpretrain', 'mmengine')
    report('mean_average_precision', rows, args.out, packages)


if __name__ == '__main__':
    main()
