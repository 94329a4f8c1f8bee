"""RandAugment of the ML-Decoder recipe: two random operations, each applied half the time."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from . import augment_ops as ops

# RGB (125, 122, 113), ImageNet's mean. The recipe's cutout has this colour whatever `fill` is.
_CUTOUT_BGR = np.array([113, 122, 125], np.uint8)


class Operation(NamedTuple):
    """One row of the table of operations."""

    name: str
    magnitudes: np.ndarray  # of the ten levels; level 0 is never drawn
    signed: bool  # whether the magnitude is negated with probability 0.5
    apply: Callable[[np.ndarray, float, int], np.ndarray]  # (img, magnitude, fill) -> img


def _levels(first: float, last: float) -> np.ndarray:
    return np.linspace(first, last, 10)


def _whole_levels(first: int, last: int) -> np.ndarray:
    return _levels(first, last).round().astype(int)


def _mix(adjust: Callable) -> Callable:
    return lambda img, magnitude, _: adjust(img, 1 + magnitude)


def _cutout(img: np.ndarray, size: int, fill: int) -> np.ndarray:
    center = (np.random.randint(img.shape[0]), np.random.randint(img.shape[1]))
    img = img.copy()
    ops.fill_box(img, center, (size, size), _CUTOUT_BGR)
    return img


OPERATIONS = (
    Operation('shear_x', _levels(0, 0.3), True, ops.shear_x),
    Operation('shear_y', _levels(0, 0.3), True, ops.shear_y),
    Operation('translate_x', _levels(0, 150 / 331), True, ops.translate_x),
    Operation('translate_y', _levels(0, 150 / 331), True, ops.translate_y),
    Operation('rotate', _levels(0, 30), False, ops.rotate),
    Operation('cutout', _whole_levels(0, 20), False, _cutout),
    Operation('color', _levels(0, 0.9), True, _mix(ops.adjust_color)),
    Operation('contrast', _levels(0, 0.9), True, _mix(ops.adjust_contrast)),
    Operation('brightness', _levels(0, 0.9), True, _mix(ops.adjust_brightness)),
    Operation('sharpness', _levels(0, 0.9), True, _mix(ops.adjust_sharpness)),
    Operation('posterize', _whole_levels(8, 4), False, lambda img, m, _: ops.posterize(img, m)),
    Operation('solarize', _levels(256, 0), False, lambda img, m, _: ops.solarize(img, m)),
    Operation('autocontrast', _levels(0, 0), False, lambda img, *_: ops.autocontrast(img)),
    Operation('equalize', _levels(0, 0), False, lambda img, *_: ops.equalize(img)),
    Operation('invert', _levels(0, 0), False, lambda img, *_: ops.invert(img)),
)


@TRANSFORMS.register_module()
class TwoOpRandAugment(BaseTransform):
    """Draw two of fifteen operations and apply each with probability 0.5.

    Both are drawn uniformly and independently (the same one may come twice), each with a level
    uniform in 1..9 of the ten levels 0..9:

    =====================  =========================================  ======
    operation              magnitude at level 9                       sign
    =====================  =========================================  ======
    shear x, y             0.3, bicubic                               random
    translate x, y         150 / 331 of the side, nearest             random
    rotate                 30 degrees counter-clockwise, nearest      fixed
    cutout                 20 px box of RGB (125, 122, 113)           none
    colour, contrast,      factor 1 + 0.9 or 1 - 0.9                  random
    brightness, sharpness
    posterize              4 bits (level 1: 8 bits, i.e. unchanged)   none
    solarize               threshold 0, i.e. all inverted             none
    autocontrast,          no magnitude                               none
    equalize, invert
    =====================  =========================================  ======

    Pixels equal those of the Pillow functions that the recipe uses: exactly for all but shear,
    colour, contrast and sharpness, where at most 1 in 100 values differs, by 1 grey level.

    Source: Cubuk et al., "RandAugment", arXiv:1909.13719, in the variant that Ridnik et al.,
    "ML-Decoder", arXiv:2111.12933, train with (the ``randaugment`` package).

    Required and modified key: ``img`` (BGR uint8, ``(H, W, 3)``). The array is not written to;
    if nothing was applied, it stays in place.

    Random numbers come from ``numpy.random``'s global state.

    Args:
        fill (int): Value in 0..255, of every channel, for pixels that shear, translate and rotate
            bring in from outside. Defaults to 128.

    Raises:
        ValueError: If ``fill`` is out of range; when called, if the image is not BGR uint8.
    """

    def __init__(self, fill: int = 128) -> None:
        if not isinstance(fill, int) or not 0 <= fill <= 255:
            raise ValueError(f'fill is a grey value, an int in 0..255, not {fill!r}')
        self.fill = fill

    def transform(self, results: dict) -> dict:
        img = ops.bgr_image(results, 'TwoOpRandAugment')
        for _ in range(2):
            operation = OPERATIONS[np.random.randint(len(OPERATIONS))]
            magnitude = operation.magnitudes[np.random.randint(1, 10)]
            if np.random.rand() < 0.5:
                if operation.signed and np.random.rand() < 0.5:
                    magnitude = -magnitude
                img = operation.apply(img, magnitude, self.fill)
        results['img'] = img
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(fill={self.fill})'
