"""Show a test run on one HTML page: python tools/report.py CONFIG PREDICTIONS.pkl --out report/.

PREDICTIONS.pkl is what tools/test.py CONFIG CHECKPOINT --out PREDICTIONS.pkl writes.
"""

import argparse
from pathlib import Path

from mmpretrain_mldecoder.analysis.report import write_report
from mmpretrain_mldecoder.engine.runners import launch


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(description='Show a test run on one HTML page.')
    parser.add_argument('config', help='config file that was tested')
    parser.add_argument('predictions', help='what tools/test.py --out wrote')
    parser.add_argument('--out', default='report', metavar='FOLDER', help='default: report')
    parser.add_argument('--checkpoint', help='its attention is laid over the images')
    parser.add_argument('--compare', metavar='OTHER.pkl', help='a second run, side by side')
    parser.add_argument(
        '--thumbnails', type=int, default=12, metavar='N', help='images of each kind; default: 12'
    )
    parser.add_argument('--thr', type=float, default=0.5, help='where the slider starts')
    launch.add_options(parser)
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Path:
    """Write the page, and print where it is."""
    parser, args = parse_args(argv)
    try:
        page = write_report(
            launch.load_config(args),
            args.predictions,
            args.out,
            checkpoint=args.checkpoint,
            compare=args.compare,
            thumbnails=args.thumbnails,
            thr=args.thr,
        )
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        parser.error(str(error))
    print(f'{page}: {page.stat().st_size / 1e6:.1f} MB, opens in any browser, offline')
    return page


if __name__ == '__main__':
    main()
