"""Transforms of the recipes: loading, resizing as their sources do, augmentation, packing."""

from .load_image import LoadScaledImage, LoadWholeImage
from .pack_multi_label_inputs import PackMultiLabelInputs
from .random_cutout import RandomCutout
from .resize import ShortSideResize, SquareResize
from .two_op_rand_augment import TwoOpRandAugment

__all__ = [
    'LoadScaledImage',
    'LoadWholeImage',
    'PackMultiLabelInputs',
    'RandomCutout',
    'ShortSideResize',
    'SquareResize',
    'TwoOpRandAugment',
]
