"""Drawing of the demo dataset: its 12 categories and their scenes."""

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

# Fractional bits of the coordinates that cv2 draws at: sixteenths of a pixel.
_SHIFT = 4


@dataclass(frozen=True, eq=False)
class Category:
    """A kind of object in the demo scenes."""

    id: int  # of COCO; like COCO's, the ids have gaps
    name: str
    hue: int  # typical one in degrees: 0 is red, 120 green, 240 blue
    outline: np.ndarray  # corners (N, 2) of a polygon, x right and y down, about 1 in radius


def _arc(start: float, stop: float, num: int = 33) -> np.ndarray:
    """Points of the unit circle from one angle to another, in degrees."""
    angles = np.radians(np.linspace(start, stop, num))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _polygon(num_corners: int, *radii: float) -> np.ndarray:
    """Corners at equal angles, the first on top, whose distances from the centre alternate."""
    return _arc(-90, 270, num_corners + 1)[:-1] * np.resize(radii, num_corners)[:, None]


def _heart() -> np.ndarray:
    angles = np.radians(np.linspace(0, 360, 33)[:-1])
    waves = [a * np.cos(k * angles) for k, a in ((1, 13), (2, -5), (3, -2), (4, -1))]
    return np.stack([np.sin(angles) ** 3, -sum(waves) / 16], axis=1)


def _crescent() -> np.ndarray:
    # The unit circle less one of radius 0.8 around (0.5, 0): they cross at 52.4 and 82.1 degrees.
    bite = _arc(277.9, 82.1)[1:-1] * 0.8 + [0.5, 0]
    return np.concatenate([_arc(52.4, 307.6), bite])


_CIRCLE = _arc(0, 360)[:-1]
# COCO's polygons have no holes: the ring's hangs on a seam.
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


def draw_scene(
    rng: np.random.Generator, size: int
) -> tuple[np.ndarray, list[tuple[Category, np.ndarray]]]:
    """Render one scene of ``size x size`` pixels: textured ground, distractors, up to 6 objects.

    Objects may cover each other, but three quarters of each stay in sight, thin lines aside.

    Returns:
        tuple: The image, BGR uint8 ``(size, size, 3)``, and the objects from back to front: the
        category and the corners ``(N, 2)`` in pixels from the image's upper left corner, x first.
    """
    image = _draw_ground(rng, size)
    for _ in range(rng.integers(2, 6)):
        _draw_distractor(rng, image)
    objects, in_sight = [], []
    num_objects = 0 if rng.random() < 0.01 else rng.integers(1, 7)
    for _ in range(num_objects):
        category = CATEGORIES[rng.integers(len(CATEGORIES))]
        polygon = _place(rng, category.outline, size, in_sight)
        if polygon is not None:
            _fill(image, polygon, _object_colour(rng, category.hue))
            objects.append((category, polygon))
    for _ in range(rng.integers(0, 2)):
        _draw_line(rng, image)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(2, 9)
    return np.clip(image + noise, 0, 255).astype(np.uint8), objects


def _place(
    rng: np.random.Generator, outline: np.ndarray, size: int, in_sight: list
) -> np.ndarray | None:
    """Place one more object and return its corners, or None after 20 tries.

    ``in_sight`` holds area and visible mask of the earlier ones.
    """
    for _ in range(20):
        angle = np.radians(rng.uniform(-25, 25))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        polygon = outline * rng.uniform(0.85, 1.15, 2) @ turn * rng.uniform(0.13, 0.28) * size
        # one pixel of margin, for the soft edge
        polygon += rng.uniform(1 - polygon.min(0), size - 1 - polygon.max(0))
        polygon = np.round(polygon, 2)
        mask = np.zeros((size, size), np.uint8)
        _fill(mask, polygon, 1, cv2.LINE_8)
        left = [(area, seen & (1 - mask)) for area, seen in in_sight]
        if all(seen.sum() >= 0.75 * area for area, seen in left):
            in_sight[:] = [*left, (mask.sum(), mask)]
            return polygon
    return None


def _fill(image: np.ndarray, polygon: np.ndarray, colour, line_type: int = cv2.LINE_AA) -> None:
    # cv2 counts from the centre of the first pixel, COCO from its corner.
    corners = np.round((polygon - 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(image, [corners], colour, line_type, _SHIFT)


def _bgr(hue: float, saturation: float, value: float) -> tuple[int, ...]:
    """A colour from its hue in degrees and its saturation and value in ``[0, 1]``."""
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue / 360, saturation, value)[::-1])


def _object_colour(rng: np.random.Generator, hue: float) -> tuple[int, ...]:
    """The typical hue, blurred into its neighbours' (30 degrees away), and now and then any hue."""
    hue = rng.uniform(0, 360) if rng.random() < 0.03 else rng.normal(hue, 12)
    return _bgr(hue, rng.uniform(0.45, 1), rng.uniform(0.5, 1))


def _muted_colour(rng: np.random.Generator) -> tuple[int, ...]:
    return _bgr(rng.uniform(0, 360), rng.uniform(0, 0.4), rng.uniform(0.15, 0.9))


def _draw_ground(rng: np.random.Generator, size: int) -> np.ndarray:
    """Blend two muted colours along a gradient, stripes or clouds."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    kind = rng.integers(3)
    if kind == 0:  # gradient
        blend = ramp + 0.5
    elif kind == 1:  # stripes
        blend = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(3, 10) * ramp)
    else:  # clouds
        cells = rng.random((rng.integers(3, 13),) * 2, dtype=np.float32)
        blend = cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
    low, high = np.float32([_muted_colour(rng), _muted_colour(rng)])
    return (low + np.clip(blend, 0, 1)[..., None] * (high - low)).astype(np.uint8)


def _draw_distractor(rng: np.random.Generator, image: np.ndarray) -> None:
    """Draw something of no category: a line, an arc, a few specks or a shard."""
    kind = rng.integers(4)
    if kind == 0:
        _draw_line(rng, image)
        return
    size = len(image)
    centre = rng.integers(0, size, 2)
    colour = _bgr(rng.uniform(0, 360), rng.uniform(0.2, 1), rng.uniform(0.3, 1))
    if kind == 1:  # arc
        axes = (rng.uniform(0.06, 0.25, 2) * size).astype(int).tolist()
        turn, start, span = rng.uniform((0, 0, 40), (180, 360, 140))
        cv2.ellipse(image, centre.tolist(), axes, turn, start, start + span, colour, 1, cv2.LINE_AA)
    elif kind == 2:  # specks
        offsets = rng.normal(0, 0.06 * size, (rng.integers(3, 9), 2))
        for x, y in (centre + offsets).astype(int).tolist():
            cv2.circle(image, (x, y), 1, colour, -1, cv2.LINE_AA)
    else:  # shard
        num_corners = rng.integers(5, 8)
        angles = np.sort(rng.uniform(0, 2 * np.pi, num_corners))
        radii = rng.uniform(0.01, 0.09, num_corners) * size
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        _fill(image, centre + radii[:, None] * directions, colour)


def _draw_line(rng: np.random.Generator, image: np.ndarray) -> None:
    start, end = rng.integers(0, len(image), (2, 2)).tolist()
    cv2.line(image, start, end, _muted_colour(rng), int(rng.integers(1, 3)), cv2.LINE_AA)
