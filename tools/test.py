"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [options].

The numbers go to WORK_DIR/test_<time>.json, from which tools/model_table.py reads them.
"""

import argparse

from mmpretrain_mldecoder.apis import use_stored_thresholds
from mmpretrain_mldecoder.engine.hooks.test_time_aug import apply_tta
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.engine.runners.exit import ends_in_one_line
from mmpretrain_mldecoder.engine.runners.finished_test import write_finished_test
from mmpretrain_mldecoder.evaluation.metrics.dump_results import AtomicDumpResults


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(description='Test a checkpoint.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='file, or an address such as https://...')
    launch.add_common_arguments(parser)
    parser.add_argument(
        '--weights',
        choices=['ema', 'raw'],
        help='test only these weights of the checkpoint; by default both, if it has both',
    )
    parser.add_argument(
        '--out',
        metavar='FILE.pkl',
        help='write the predictions (of the EMA weights, unless --weights raw) as a pickled list',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="average the scores over views of each image: the config's tta_pipeline, or flips "
        'and two sizes',
    )
    parser.add_argument(
        '--tuned-thresholds',
        action='store_true',
        help="report F1 at the checkpoint's own thresholds, on images they were not fitted to",
    )
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict:
    """Test as the arguments say and return the metrics."""
    parser, args = parse_args(argv)
    try:
        dump = [AtomicDumpResults(args.out)] if args.out else []
        cfg = launch.load_config(args)
        launch.apply_test_arguments(cfg, args)
        if args.tuned_thresholds and args.tta:
            raise ValueError('--tuned-thresholds are of plain scores, not of those with --tta')
        if args.tuned_thresholds:
            use_stored_thresholds(cfg, args.checkpoint)
        views = apply_tta(cfg) if args.tta else None
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    with ends_in_one_line('no result was written'):
        runner = launch.build_runner(cfg)
        if views:
            runner.logger.info(f'Test-time augmentation, scores averaged over {views}')
        runner.test_evaluator.metrics += dump
        metrics = runner.test()
        write_finished_test(runner, cfg, args.config, args.checkpoint, metrics)
        launch.end_run(runner)
    return metrics


if __name__ == '__main__':
    main()
