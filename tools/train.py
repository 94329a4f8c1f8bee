"""Train a model: python tools/train.py CONFIG [options]. Several processes: tools/dist_train.sh."""

import argparse

from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.errors import exit_on_error


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and parse the arguments."""
    parser = argparse.ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='config file')
    launch.add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from a checkpoint, by default from the newest complete one of the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument('--no-validate', action='store_true', help='train without validation')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate from the config's batch size to the actual one",
    )
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Train as the arguments say."""
    parser, args = parse_args(argv)
    try:
        cfg = launch.load_config(args)
        launch.apply_train_arguments(cfg, args)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    with exit_on_error('--resume continues from the last checkpoint'):
        launch.train(cfg)


if __name__ == '__main__':
    main()
