"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [options]."""

import argparse

from mmpretrain_mldecoder.engine import launch
from mmpretrain_mldecoder.engine.dump_predictions import AtomicDumpResults


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
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict:
    """Test as the arguments say and return the metrics."""
    parser, args = parse_args(argv)
    try:
        dump = [AtomicDumpResults(args.out)] if args.out else []
        cfg = launch.load_config(args)
        launch.apply_test_arguments(cfg, args)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    runner = launch.build_runner(cfg)
    runner.test_evaluator.metrics += dump
    return runner.test()


if __name__ == '__main__':
    main()
