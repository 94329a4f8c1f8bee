"""The attention of one label, laid over the image."""

import cv2
import matplotlib
import numpy as np

COLORMAP = 'inferno'
"""Its lightness rises throughout, so that it reads for the colour-blind and in grey."""

OPACITY = 0.6


def attention_overlay(seen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Lay an attention map over an image: bright where the query looked.

    The map is enlarged bilinearly, and its colours go from 0 to its strongest cell. They cover the
    image evenly by 60 %, and the image is drawn grey, so that colour only means attention.

    Args:
        seen (np.ndarray): BGR ``uint8``, ``(h, w, 3)``.
        weights (np.ndarray): ``(H, W)``, at least 0, of any sum.

    Returns:
        np.ndarray: RGB ``uint8``, ``(h, w, 3)``.
    """
    height, width = seen.shape[:2]
    strongest = max(float(weights.max()), np.finfo(np.float32).tiny)
    enlarged = cv2.resize(
        (weights / strongest).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    heat = matplotlib.colormaps[COLORMAP](enlarged)[..., :3]
    grey = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY)[..., None] / 255
    mixed = OPACITY * heat + (1 - OPACITY) * grey
    return (255 * mixed).round().astype(np.uint8)


def times_average(weights: np.ndarray) -> float:
    """Return how many times the weight of an average cell the strongest cell of a map has."""
    return float(weights.max() / max(float(weights.mean()), np.finfo(np.float32).tiny))
