"""How the head's cost grows with the number of classes, with group and with full decoding.

Full decoding asks with a query for each class (K = C), group decoding with 100 for all (K = 100).
Every point is a process of its own: forward and backward on the CPU, and by how much its peak
memory grows from before the head is built, so weights and their gradients are in. Full decoding is
measured as long as its time and memory, foreseen from the last point, stay below the limits.
"""

import argparse
import functools
import time
from pathlib import Path

import torch
from comparison import Comparison, argument_parser, report
from gloo_processes import peak_megabytes, run_in_processes
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmpretrain_mldecoder.layers import MLDecoder
from mmpretrain_mldecoder.visualization.figure import save_figure

NUM_GROUPS = 100
CHANNELS, SIDE = 2048, 7  # of the map that a ResNet makes of 224 pixels
QUANTITIES = dict(seconds='s', megabytes='MB')
COLORS = dict(group='#0072b2', full='#d55e00')

Points = dict[int, dict[str, float]]  # classes -> seconds and megabytes


def measure(
    rank: int, world_size: int, num_classes: int, num_groups: int, batch: int, threads: int
) -> dict[str, float]:
    """Return seconds of a training step, and megabytes, of one head."""
    torch.set_num_threads(threads)
    before = peak_megabytes()
    decoder = MLDecoder(num_classes, CHANNELS, num_groups).train()
    feats = torch.rand(batch, CHANNELS, SIDE, SIDE, requires_grad=True)
    fewest, started = float('inf'), time.perf_counter()
    # Small heads are quick and their times scatter: more rounds of them.
    for i in range(8):
        decoder.zero_grad()
        start = time.perf_counter()
        decoder(feats).square().sum().backward()
        if i > 0:  # the first warms up
            fewest = min(fewest, time.perf_counter() - start)
        if i > 0 and time.perf_counter() - started > 4:
            break
    return dict(seconds=fewest, megabytes=peak_megabytes() - before)


def measure_all(args: argparse.Namespace) -> dict[str, Points]:
    """Return the points of both ways of decoding."""

    @functools.cache
    def point(num_classes: int, num_groups: int) -> dict[str, float]:
        (result,) = run_in_processes(measure, 1, num_classes, num_groups, args.batch, args.threads)
        print(f'{num_classes:,} classes, {num_groups:,} queries: {result}', flush=True)
        return result

    group = {c: point(c, min(NUM_GROUPS, c)) for c in args.classes}
    full: Points = {}
    for num_classes in args.classes:
        if full:
            last = max(full)
            foreseen = {key: full[last][key] * num_classes / last for key in QUANTITIES}
            if foreseen['seconds'] > args.max_seconds or foreseen['megabytes'] > args.max_megabytes:
                print(f'{num_classes:,} classes, a query each, would take about {foreseen}')
                break
        full[num_classes] = point(num_classes, num_classes)
    return dict(group=group, full=full)


def rows(points: dict[str, Points], batch: int) -> list[Comparison]:
    """Return a row for every number of classes and quantity."""
    result = []
    for quantity, unit in QUANTITIES.items():
        for num_classes, group in points['group'].items():
            full = points['full'].get(num_classes)
            result.append(
                Comparison(
                    what=f'{num_classes:,} classes, batch {batch}, forward and backward',
                    ours=group[quantity],
                    unit=unit,
                    peer=None if full is None else full[quantity],
                    peer_name='beyond the limits' if full is None else 'full decoding',
                )
            )
    return result


def draw(points: dict[str, Points], batch: int, path: Path) -> None:
    """Draw time and memory over the number of classes, both axes logarithmic."""
    figure = Figure(figsize=(9, 3.6), dpi=100, layout='constrained')
    for axes, (quantity, unit) in zip(figure.subplots(1, 2), QUANTITIES.items(), strict=True):
        for way, label in (('group', 'group decoding\n100 queries'), ('full', 'a query a class')):
            _curve(axes, {c: p[quantity] for c, p in points[way].items()}, label, COLORS[way])
        axes.set(xscale='log', yscale='log', xlabel='classes')
        axes.set_title(dict(seconds='time', megabytes='memory')[quantity] + f' of a step ({unit})')
        axes.grid(alpha=0.3)
        # Room for the labels at the ends of the curves.
        axes.set_xlim(right=max(points['group']) * 30)
    figure.suptitle(f'ML-Decoder, forward and backward, batch {batch}, 7 x 7 map, CPU', fontsize=10)
    save_figure(figure, path)


def _curve(axes: Axes, values: dict[int, float], label: str, color: str) -> None:
    axes.plot(values.keys(), values.values(), color=color, marker='o', markersize=4)
    end = max(values)
    axes.annotate(
        label,
        (end, values[end]),
        xytext=(7, 0),
        textcoords='offset points',
        color=color,
        va='center',
        fontsize=9,
    )


def main() -> None:
    """Measure, report and draw."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        '--classes',
        type=int,
        nargs='+',
        default=[80, 300, 1000, 3000, 9605, 30000, 100000],
        help='numbers of classes, growing',
    )
    parser.add_argument('--batch', type=int, default=2, help='photos')
    parser.add_argument('--threads', type=int, default=2, help='of torch')
    parser.add_argument('--max-seconds', type=float, default=20, help='of a step')
    parser.add_argument('--max-megabytes', type=float, default=6000, help='of a step')
    parser.add_argument('--figure', type=Path, help='the PNG; default: class_scaling.png in --out')
    args = parser.parse_args()
    points = measure_all(args)
    report('class_scaling', rows(points, args.batch), args.out, ('torch',))
    draw(points, args.batch, args.figure or args.out / 'class_scaling.png')


if __name__ == '__main__':
    main()
