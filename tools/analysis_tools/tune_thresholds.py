"""Fit a threshold a class to a split and store them in the checkpoint.

python tools/analysis_tools/tune_thresholds.py CONFIG CHECKPOINT --split val [--precision 0.9]
"""

import argparse

from mmpretrain_mldecoder.apis.thresholds.split_scores import (
    SPLITS,
    image_source,
    split_scores,
    split_warnings,
    use_split,
)
from mmpretrain_mldecoder.apis.thresholds.stored_thresholds import check_storable, store_thresholds
from mmpretrain_mldecoder.apis.thresholds.threshold_table import (
    gain_table,
    remarks,
    threshold_table,
)
from mmpretrain_mldecoder.apis.thresholds.tuned_thresholds import tune_thresholds
from mmpretrain_mldecoder.engine.runners import launch


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(description='Fit a threshold a class and store them.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='file; the thresholds are stored in its meta')
    parser.add_argument('--split', choices=SPLITS, required=True, help='whose images to fit to')
    parser.add_argument(
        '--precision', type=float, help='wanted precision of every class (default: the best F1)'
    )
    parser.add_argument('--folds', type=int, default=5, help='of the cross-validation (default: 5)')
    parser.add_argument('--seed', type=int, default=0, help='of the deal to folds (default: 0)')
    parser.add_argument(
        '--out', metavar='FILE.pth', help='write this file, and leave the checkpoint as it is'
    )
    parser.add_argument('--dry-run', action='store_true', help='print, and store nothing')
    launch.add_common_arguments(parser)
    parser.set_defaults(weights=None)  # those that the thresholds are stored beside
    return parser, parser.parse_args(argv)


def check(args: argparse.Namespace) -> None:
    """Raise for what need not wait for the long work."""
    if args.precision is not None and not 0 < args.precision <= 1:
        raise ValueError(f'--precision must be in (0, 1], but got {args.precision}')
    if args.folds < 2 or args.seed < 0:
        raise ValueError('--folds must be at least 2, and --seed not negative')
    if args.dry_run and args.out:
        raise ValueError('--dry-run stores nothing and --out names a file to write: choose one')
    if not args.dry_run:
        check_storable(args.checkpoint, args.out)


def main(argv: list[str] | None = None) -> None:
    """Predict the split, fit, print, store."""
    parser, args = parse_args(argv)
    try:
        cfg = launch.load_config(args)
        launch.apply_test_arguments(cfg, args)
        check(args)
        source, warnings = image_source(cfg, args.split), split_warnings(cfg, args.split)
        use_split(cfg, args.split)
        runner = launch.build_runner(cfg)
        split = split_scores(runner)
        launch.end_run(runner)
        if split is None:
            return  # the first process does the rest
        tuned = tune_thresholds(
            split.scores, split.targets, split.classes, args.precision, args.folds, args.seed
        )
        print(f'\n{threshold_table(tuned)}\n\n{gain_table(tuned)}\n')
        print('\n'.join([*remarks(tuned), *warnings]))
        if not args.dry_run:
            stored = tuned.for_checkpoint(args.split, source, len(split.scores))
            out = store_thresholds(args.checkpoint, stored, args.out)
            print(f'stored {len(tuned.classes)} thresholds ({tuned.criterion}) in {out}')
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
