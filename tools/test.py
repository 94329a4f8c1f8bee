"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [options].

The metrics go to WORK_DIR/test_<time>.json, from which tools/model_table.py reads them.
"""

import argparse

from mmpretrain_mldecoder.apis import use_stored_thresholds
from mmpretrain_mldecoder.engine.hooks.test_time_aug import apply_tta
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.errors import exit_on_error
from mmpretrain_mldecoder.evaluation.metrics.dump_results import AtomicDumpResults


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and parse the arguments."""
    parser = argparse.ArgumentParser(description='Test a checkpoint.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='file, or an address such as https://...')
    launch.add_common_arguments(parser)
    which = 'test only these weights of the checkpoint; by default both, if it has both'
    parser.add_argument('--weights', choices=['ema', 'raw'], help=which)
    out = 'write the predictions (of the EMA weights, unless --weights raw) as a pickled list'
    parser.add_argument('--out', metavar='FILE.pkl', help=out)
    scores = parser.add_mutually_exclusive_group()
    tta = "average the scores over views: the config's tta_pipeline, or flips and two sizes"
    scores.add_argument('--tta', action='store_true', help=tta)
    tuned = "report F1 at the checkpoint's own thresholds, on images they were not fitted to"
    scores.add_argument('--tuned-thresholds', action='store_true', help=tuned)
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict:
    """Test as the arguments say and return the metrics."""
    parser, args = parse_args(argv)
    try:
        dumps = [AtomicDumpResults(args.out)] if args.out else []
        cfg = launch.load_config(args)
        launch.apply_test_arguments(cfg, args)
        if args.tuned_thresholds:
            use_stored_thresholds(cfg, args.checkpoint)
        if args.tta:
            apply_tta(cfg)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    with exit_on_error('no result was written'):
        return launch.test(cfg, args.config, args.checkpoint, dumps)


if __name__ == '__main__':
    main()
