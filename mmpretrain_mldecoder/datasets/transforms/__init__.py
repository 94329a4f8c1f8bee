"""Transforms of the recipes: antialiased square resize, cutout, RandAugment."""

from .random_cutout import RandomCutout
from .square_resize import SquareResize
from .two_op_rand_augment import TwoOpRandAugment

__all__ = ['RandomCutout', 'SquareResize', 'TwoOpRandAugment']
