"""Check and draw a dataset before training: python tools/dataset_tools/browse.py CONFIG.

The exit status is 1 if something was found that spoils a training or its scores.
"""

import argparse
import sys

from rich.console import Console

from mmpretrain_mldecoder.analysis.browse.browse_dataset import browse_dataset
from mmpretrain_mldecoder.analysis.browse.findings import print_findings
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.errors import exit_on_error

SPLITS = ('train', 'val', 'test')


def main(argv: list[str] | None = None) -> int:
    """Check, print what was found, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('config', help='config file')
    parser.add_argument('--out-dir', default='browse', help='folder to write to; default: browse')
    splits = 'default: train and val, and test if it has other data than val'
    parser.add_argument('--split', nargs='+', choices=SPLITS, help=splits)
    parser.add_argument(
        '--images', '--pictures', type=int, default=8, help='on each sheet; default: 8'
    )
    parser.add_argument('--draws', type=int, default=4, help='of each on train; default: 4')
    parser.add_argument('--no-files', action='store_true', help='check labels, not images')
    parser.add_argument('--quick', action='store_true', help='read headers, decode nothing')
    parser.add_argument('--workers', type=int, help='processes that read files; default: all cores')
    launch.add_options(parser)
    args = parser.parse_args(argv)
    if args.quick and args.no_files:
        parser.error('--quick is about reading the files, which --no-files forbids: leave one out')
    with exit_on_error('the same command begins again'):
        try:
            browsed = browse_dataset(
                launch.load_config(args),
                args.out_dir,
                args.split,
                args.images,
                args.draws,
                not args.no_files,
                args.quick,
                args.workers,
            )
        except (OSError, ValueError) as error:
            parser.error(str(error))
    console = Console(highlight=False, width=110)
    print_findings(browsed.findings, browsed.splits, browsed.looked_for, console)
    print('written: ' + ', '.join(map(str, browsed.files)))
    return 1 if browsed.is_harmful else 0


if __name__ == '__main__':
    sys.exit(main())
