"""Render the demo dataset: python tools/dataset_tools/make_demo_dataset.py."""

import argparse

from mmpretrain_mldecoder.datasets.demo_scenes import make_demo_dataset
from mmpretrain_mldecoder.fileio.terminal import one_line


def main(argv: list[str] | None = None) -> None:
    """Render the scenes, unless the folder holds them already."""
    parser = argparse.ArgumentParser(
        description='Render scenes of simple objects in the layout of COCO 2017. A folder that '
        'holds the same scenes already is reused.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--out', default='data/demo', help='folder to write')
    parser.add_argument('--num-train', type=int, default=3000, help='training scenes')
    parser.add_argument('--num-val', type=int, default=600, help='validation scenes')
    parser.add_argument('--size', type=int, default=96, help='side of the images in pixels')
    parser.add_argument('--seed', type=int, default=0, help='another seed gives other scenes')
    args = parser.parse_args(argv)
    try:
        written = make_demo_dataset(**vars(args))
    except (OSError, ValueError) as error:
        parser.error(one_line(error))
    print(f'{args.out} is {"written" if written else "reused"}')


if __name__ == '__main__':
    main()
