"""Transforms of the recipes: resizing as their sources do, cutout, RandAugment; and the packing."""

from .pack_multi_label_inputs import PackMultiLabelInputs
from .random_cutout import RandomCutout
from .short_side_resize import ShortSideResize
from .square_resize import SquareResize
from .two_op_rand_augment import TwoOpRandAugment

__all__ = [
    'PackMultiLabelInputs',
    'RandomCutout',
    'ShortSideResize',
    'SquareResize',
    'TwoOpRandAugment',
]
