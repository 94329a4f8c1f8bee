"""Tell how fast a config's data loader is: python tools/analysis_tools/benchmark_loader.py CONFIG.

Photos a second of one core and what each stage takes, photos a second through the loader, and the
cores that a GPU needs.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mmpretrain_mldecoder.apis.loader_advice import loader_advice
from mmpretrain_mldecoder.apis.loader_speed import LoaderSpeed, loader_speed
from mmpretrain_mldecoder.atomic_write import atomic_write
from mmpretrain_mldecoder.engine import launch

WORTH_A_WORD = 0.1  # share of a stage that gets a sentence


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument('--photos', type=int, default=1000, help='photos of each measurement')
    parser.add_argument('--workers', type=int, help="default: the config's num_workers")
    parser.add_argument(
        '--gpu-photos-per-second', type=float, metavar='X', help='what a GPU of yours trains'
    )
    parser.add_argument('--out', type=Path, metavar='FILE.json', help='write the numbers')
    launch.add_common_arguments(parser)
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> LoaderSpeed:
    """Measure, print and write as the arguments say."""
    parser, args = parse_args(argv)
    try:
        speed = loader_speed(launch.load_config(args), args.split, args.photos, args.workers)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    console = Console(highlight=False, width=100)
    _print_stages(speed, console)
    _print_rates(speed, args.gpu_photos_per_second, console)
    if args.out:
        numbers = asdict(speed) | dict(config=args.config, photos=args.photos)
        with atomic_write(args.out) as path:
            path.write_text(json.dumps(numbers, indent=2))
        console.print(f'written: {args.out}')
    return speed


def _print_stages(speed: LoaderSpeed, console: Console) -> None:
    """Print the table of stages, and a sentence on each that takes long."""
    table = Table(title=f'one sample of {speed.split} on one core', title_justify='left')
    for title, justify in (('stage', 'left'), ('ms', 'right'), ('share', 'right'), ('', 'left')):
        table.add_column(title, justify=justify)
    whole = sum(speed.stages.values())
    for stage, ms in speed.stages.items():
        table.add_row(stage, f'{ms:.2f}', f'{ms / whole:.0%}', '█' * round(30 * ms / whole))
    table.add_section()
    table.add_row('all', f'{whole:.2f}', '', f'{speed.core_rate:,.0f} photos/s')
    console.print(table)
    for stage, ms in sorted(speed.stages.items(), key=lambda item: -item[1]):
        if ms / whole >= WORTH_A_WORD:
            slowest = 'slowest: ' if stage == speed.slowest else ''
            advice = loader_advice(stage, speed.copy_would_help)
            console.print(f'{slowest}[bold]{stage}[/bold], {ms / whole:.0%}: {advice}')


def _print_rates(speed: LoaderSpeed, gpu_rate: float | None, console: Console) -> None:
    """Print the rate of the loader and the cores that a GPU needs."""
    workers = f'{speed.workers} workers' if speed.workers else 'no workers'
    console.print(
        f'\nthrough the loader ({workers}, {speed.cores} cores here): '
        f'[bold]{speed.loader_rate:,.0f} photos/s[/bold]; an epoch of {speed.num_photos:,} samples '
        f'in {speed.num_photos / speed.loader_rate / 60:,.1f} min'
    )
    if gpu_rate is None:
        console.print(
            f'A GPU that trains X photos/s is kept busy by X / {speed.core_rate:,.0f} cores like '
            'these, with as many workers; --gpu-photos-per-second X does the sum.'
        )
        return
    console.print(
        f'A GPU that trains {gpu_rate:,.0f} photos/s is kept busy by '
        f'[bold]{speed.cores_for(gpu_rate):,.1f} cores[/bold] like these, with as many workers.'
    )


if __name__ == '__main__':
    main()
