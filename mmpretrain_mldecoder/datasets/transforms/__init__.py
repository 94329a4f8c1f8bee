"""Transforms of the recipes: antialiased square resize, cutout, RandAugment; and the packing."""

from .pack_multi_label_inputs import PackMultiLabelInputs
from .random_cutout import RandomCutout
from .square_resize import SquareResize
from .two_op_rand_augment import TwoOpRandAugment

__all__ = ['PackMultiLabelInputs', 'RandomCutout', 'SquareResize', 'TwoOpRandAugment']
