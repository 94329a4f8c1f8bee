"""Write a test run for FiftyOne: export_fiftyone.py CONFIG PREDICTIONS.pkl OUT.

PREDICTIONS.pkl is what tools/test.py CONFIG CHECKPOINT --out PREDICTIONS.pkl writes.
"""

import argparse
from pathlib import Path

from mmpretrain_mldecoder.analysis.report import read_test_run, write_fiftyone
from mmpretrain_mldecoder.analysis.report.test_run import read_class_names
from mmpretrain_mldecoder.engine.runners import launch


def main(argv: list[str] | None = None) -> None:
    """Write the two files, and print which images are missing."""
    parser = argparse.ArgumentParser(description='Write a test run for FiftyOne.')
    parser.add_argument('config', help='config file that was tested')
    parser.add_argument('predictions', help='what tools/test.py --out wrote')
    parser.add_argument('out', help='folder of ground_truth.json and predictions.json')
    parser.add_argument('--thr', type=float, default=0.5, help='lowest score of a prediction')
    launch.add_options(parser)
    args = parser.parse_args(argv)
    try:
        cfg = launch.load_config(args)
        run = read_test_run(args.predictions)
        classes, no_names = read_class_names(cfg, run)
        files = write_fiftyone(run, classes, args.out, args.thr)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(*files, sep='\n')
    if no_names:
        print(no_names)
    absent = sum(not Path(image).is_file() for image in run.images)
    if absent:
        print(f'{absent} of {len(run.images)} images are not where the test read them')


if __name__ == '__main__':
    main()
