"""Measure a config's data loader: python tools/analysis_tools/benchmark_loader.py CONFIG.

Images per second of one core and what each stage takes, images per second through the loader, and
the cores that a GPU needs.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from mmpretrain_mldecoder.analysis.loader_speed import (
    LoaderSpeed,
    loader_speed,
    print_loader_speed,
)
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.fileio.atomic_write import write_file


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument('--photos', type=int, default=1000, help='images of each measurement')
    parser.add_argument('--workers', type=int, help="default: the config's num_workers")
    parser.add_argument(
        '--gpu-photos-per-second', type=float, metavar='X', help='what a GPU of yours trains'
    )
    parser.add_argument('--out', type=Path, metavar='FILE.json', help='write the numbers')
    launch.add_options(parser)
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> LoaderSpeed:
    """Measure, print and write as the arguments say."""
    parser, args = parse_args(argv)
    try:
        speed = loader_speed(launch.load_config(args), args.split, args.photos, args.workers)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    console = Console(highlight=False, width=100)
    print_loader_speed(speed, args.gpu_photos_per_second, console)
    if args.out:
        write_file(args.out, json.dumps(dict(config=args.config) | asdict(speed), indent=2))
        print(f'written: {args.out}')
    return speed


if __name__ == '__main__':
    main()
