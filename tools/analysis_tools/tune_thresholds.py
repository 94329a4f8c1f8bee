"""Fit a threshold per class and store them: tune_thresholds.py CONFIG CHECKPOINT --split val."""

import argparse

from rich.console import Console

from mmpretrain_mldecoder import apis
from mmpretrain_mldecoder.engine.runners import launch


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(description='Fit a threshold per class and store them.')
    add = parser.add_argument
    add('config', help='config file')
    add('checkpoint', help='file; the thresholds are stored in its meta')
    add('--split', choices=('train', 'val', 'test'), required=True, help='whose images to fit to')
    add('--precision', type=float, help='wanted precision of every class (default: the best F1)')
    add('--folds', type=int, default=5, help='of the cross-validation (default: 5)')
    add('--seed', type=int, default=0, help='of the split into folds (default: 0)')
    store = parser.add_mutually_exclusive_group().add_argument
    store('--out', metavar='FILE.pth', help='write this file, and leave the checkpoint as it is')
    store('--dry-run', action='store_true', help='print, and store nothing')
    launch.add_common_arguments(parser)
    parser.set_defaults(weights=None)  # those that the thresholds are stored with
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Predict the split, fit, print, store."""
    parser, args = parse_args(argv)
    try:
        cfg = launch.load_config(args)
        launch.apply_test_arguments(cfg, args)
        if args.precision is not None and not 0 < args.precision <= 1:
            raise ValueError(f'--precision must be in (0, 1], but got {args.precision}')
        if args.folds < 2 or args.seed < 0:
            raise ValueError('--folds must be at least 2, and --seed not negative')
        if not args.dry_run:  # asked before the long part
            apis.check_storable(args.checkpoint, args.out)
        split = apis.split_scores(cfg, args.split)
        if split is None:
            return  # the main process does the rest
        data = split.scores, split.targets, split.classes
        tuned = apis.tune_thresholds(*data, args.precision, args.folds, args.seed)
        Console(highlight=False, width=110).print(apis.threshold_report(tuned))
        print('\n'.join(split.warnings))
        if not args.dry_run:
            stored = tuned.for_checkpoint(args.split, split.source, len(split.scores))
            out = apis.store_thresholds(args.checkpoint, stored, args.out)
            print(f'stored {len(tuned.classes)} thresholds ({tuned.criterion}) in {out}')
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
