"""The 12 categories of the demo dataset: an outline and a typical colour each."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Category:
    """A kind of object in the demo scenes.

    Args:
        id (int): COCO category id; like COCO's, the ids have gaps.
        name (str): English noun.
        hue (int): Typical hue in degrees, in ``[0, 360)``; 0 is red, 120 green, 240 blue.
        outline (np.ndarray): Corners ``(N, 2)`` of one polygon, x to the right and y down, about
            1 in radius. COCO's polygons have no holes, so the ring's hole hangs on a seam.
    """

    id: int
    name: str
    hue: int
    outline: np.ndarray


def _arc(start: float, stop: float, num: int = 33) -> np.ndarray:
    """Points of the unit circle from one angle to another, in degrees."""
    angles = np.radians(np.linspace(start, stop, num))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _polygon(num_corners: int, *radii: float) -> np.ndarray:
    """Evenly turned corners, the first on top, whose distances from the centre take turns."""
    return _arc(-90, 270, num_corners + 1)[:-1] * np.resize(radii, num_corners)[:, None]


def _heart() -> np.ndarray:
    angles = np.radians(np.linspace(0, 360, 33)[:-1])
    waves = [a * np.cos(k * angles) for k, a in ((1, 13), (2, -5), (3, -2), (4, -1))]
    return np.stack([np.sin(angles) ** 3, -sum(waves) / 16], axis=1)


def _crescent() -> np.ndarray:
    # The unit circle less a circle of radius 0.8 around (0.5, 0). They cross at x = 0.61: at 52.4
    # degrees on the one, at 82.1 degrees on the other.
    bite = _arc(277.9, 82.1)[1:-1] * 0.8 + [0.5, 0]
    return np.concatenate([_arc(52.4, 307.6), bite])


_CIRCLE = _arc(0, 360)[:-1]
_RING = np.concatenate([_arc(0, 360), _arc(360, 0) * 0.55])
_SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.8
_DIAMOND = np.array([[0, -1], [0.55, 0], [0, 1], [-0.55, 0]])
_ARROW = np.array([[1, 0], [0, 0.8], [0, 0.3], [-1, 0.3], [-1, -0.3], [0, -0.3], [0, -0.8]])
_CROSS = np.array([(1, 3), (1, 1), (3, 1), (3, -1), (1, -1), (1, -3)])
_CROSS = np.concatenate([_CROSS, -_CROSS])

# Shapes that are easily mistaken for each other are far apart in hue, and neighbours in hue are
# not: neither cue is enough alone.
CATEGORIES = (
    Category(1, 'heart', 0, _heart()),
    Category(2, 'circle', 30, _CIRCLE),
    Category(3, 'star', 60, _polygon(10, 1, 0.45)),
    Category(5, 'cross', 90, _CROSS / 3),
    Category(6, 'triangle', 120, _polygon(3, 1)),
    Category(8, 'crescent', 150, _crescent()),
    Category(9, 'hexagon', 180, _polygon(6, 1)),
    Category(11, 'ellipse', 210, _CIRCLE * [1, 0.5]),
    Category(13, 'square', 240, _SQUARE),
    Category(14, 'arrow', 270, _ARROW),
    Category(16, 'ring', 300, _RING),
    Category(17, 'diamond', 330, _DIAMOND),
)
