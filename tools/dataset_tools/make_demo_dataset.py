"""Render the demo dataset: python tools/dataset_tools/make_demo_dataset.py."""

import argparse

from mmpretrain_mldecoder.datasets.demo_scenes import make_demo_dataset


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Render scenes of simple objects in the layout of COCO 2017. A folder that '
        'holds the same scenes already is reused.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--out', default='data/demo', help='folder to write')
    parser.add_argument('--num-train', type=int, default=3000, help='training scenes')
    parser.add_argument('--num-val', type=int, default=600, help='validation scenes')
    parser.add_argument('--size', type=int, default=96, help='side of the images in pixels')
    parser.add_argument('--seed', type=int, default=0, help='another seed, other scenes')
    return parser.parse_args()


if __name__ == '__main__':
    make_demo_dataset(**vars(parse_args()))
