"""Attention maps: one laid over an image, and a figure of all labels or heads of an image."""

import os
from pathlib import Path
from textwrap import fill

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..fileio.terminal import printable
from .figure import DPI, save_figure, shorten

COLORMAP = 'inferno'
"""Its lightness rises throughout, so that it reads for the colour-blind and in grey."""

OPACITY = 0.6

PANEL_INCHES, PANEL_CHARACTERS = 2.2, 30  # width of a panel, and what fits above it
HEAD_PANEL_INCHES, HEAD_PANEL_CHARACTERS = 1.5, 20  # heads are many
GAP_INCHES = 0.15
MAX_ASPECT = 1.4  # height by width of a panel; what is taller is drawn narrower
MARGIN_INCHES = 0.2
COLUMNS = 4
MAX_LABELS = 23  # with the image, a full last row
LINE_INCHES = 0.17


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


def attention_figure(prediction: dict, out: str | os.PathLike, per_head: bool = False) -> Path:
    """Draw an image and, for every label, what its query looked at.

    An overlay has the colours of :func:`attention_overlay`: from 0 to the label's (or head's)
    strongest cell. How peaked the map is stands above it: how many times the average cell the
    strongest one has. The caption tells how to read the figure.

    Args:
        prediction (dict): Of :class:`MultiLabelInferencer` with ``return_attention``: ``labels``,
            ``scores``, ``attention``, ``shares_query_with`` and ``seen``. Up to 23 labels are
            drawn, the first. Without any, the figure says so.
        out (str | PathLike): The PNG; its folder is made, an older file is replaced.
        per_head (bool): Whether to draw a row per label and a column per head, instead of the mean
            of the heads. Defaults to False.

    Returns:
        Path: ``out``.

    Raises:
        ValueError: If the prediction has no attention.
    """
    if 'attention' not in prediction:
        raise ValueError('the prediction has no attention: predict with return_attention=True')
    seen, attention = prediction['seen'], prediction['attention']
    panels = _panels(prediction, per_head)
    columns, panel_width = min(COLUMNS, max(len(panels), 2)), PANEL_INCHES
    if per_head:
        columns, panel_width = 1 + attention.shape[1], HEAD_PANEL_INCHES
    width = columns * (panel_width + GAP_INCHES) - GAP_INCHES
    caption = '\n'.join(fill(part, int(13.5 * width)) for part in _caption(prediction, per_head))
    title_lines = 3 if any(prediction['shares_query_with']) else 2
    axes, caption_axes, bar_axes = _layout(
        (-(-len(panels) // columns), columns),
        panel_width,
        panel_width * min(seen.shape[0] / seen.shape[1], MAX_ASPECT),
        title_lines * LINE_INCHES,
        (caption.count('\n') + 1) * LINE_INCHES,
    )
    for panel, (image, title) in zip(axes, panels, strict=False):
        panel.imshow(image)
        panel.set_title(title, loc='left', fontsize=8, pad=3, parse_math=False)
    if prediction['labels']:
        _draw_bar(bar_axes)
    caption_axes.text(0, 1, caption, va='top', fontsize=8, color='0.25', parse_math=False)
    return save_figure(caption_axes.figure, out)


def _panels(prediction: dict, per_head: bool) -> list[tuple[np.ndarray, str]]:
    """Return the image and the title of each panel, in the order of reading."""
    seen = prediction['seen']
    titles = _titles(prediction, HEAD_PANEL_CHARACTERS if per_head else PANEL_CHARACTERS)
    if not titles:
        return [(seen[..., ::-1], 'no label reaches the threshold')]
    panels = [] if per_head else [(seen[..., ::-1], 'the image')]
    for title, maps in zip(titles, prediction['attention'], strict=False):
        if per_head:
            panels.append((seen[..., ::-1], title))
            parts = [(f'head {head}\n', weights) for head, weights in enumerate(maps, 1)]
        else:
            parts = [(f'{title}\nstrongest ', maps.mean(axis=0))]
        for words, weights in parts:
            overlay = attention_overlay(seen, weights)
            panels.append((overlay, f'{words}{times_average(weights):.1f}× average'))
    return panels


def _layout(
    grid: tuple[int, int], width: float, height: float, title: float, caption: float
) -> tuple[list[Axes], Axes, Axes]:
    """Make a figure with a grid of panels, a place for the caption and a colour bar, in inches."""
    rows, columns = grid
    inside = columns * (width + GAP_INCHES) - GAP_INCHES
    bar, bar_room, row_height = 0.1, 0.45, title + height + GAP_INCHES
    below = MARGIN_INCHES + rows * row_height
    size = inside + 2 * MARGIN_INCHES, below + bar_room + caption + MARGIN_INCHES
    figure = Figure(figsize=size, dpi=DPI)

    def axes_at(left: float, top: float, wide: float, high: float) -> Axes:
        """Add axes whose upper left corner lies so many inches from the figure's."""
        box = np.array([left, size[1] - top - high, wide, high])
        axes = figure.add_axes(box / (*size, *size))
        axes.set_axis_off()
        axes.set_anchor('NW')
        return axes

    panels = [
        axes_at(
            MARGIN_INCHES + column * (width + GAP_INCHES),
            MARGIN_INCHES + row * row_height + title,
            width,
            height,
        )
        for row, column in np.ndindex(*grid)
    ]
    caption_axes = axes_at(MARGIN_INCHES, below + bar_room, inside, caption)
    return panels, caption_axes, axes_at(MARGIN_INCHES, below, min(inside, 2.2), bar)


def _draw_bar(axes: Axes) -> None:
    """Draw the colours as they are over an image of medium grey."""
    strip = np.full((20, 400, 3), 128, np.uint8)
    rising = np.tile(np.linspace(0, 1, 400), (20, 1))
    axes.set_axis_on()
    axes.imshow(attention_overlay(strip, rising), extent=(0, 1, 0, 1), aspect='auto')
    axes.set_xticks([0, 0.5, 1], labels=['0', 'half', 'strongest cell'], fontsize=7)
    axes.set_yticks([])


def _titles(prediction: dict, length: int) -> list[str]:
    """Name each label that is drawn, its score and, with groups, whose map it also is."""
    titles = []
    for label, score, others in zip(
        prediction['labels'], prediction['scores'], prediction['shares_query_with'], strict=True
    ):
        title = f'{shorten(label, length - 6)}  {score:.2f}'
        if others:
            title += f'\nalso {_enumerate([*map(printable, others)], length - 5)}'
        titles.append(title)
    return titles[:MAX_LABELS]


def _enumerate(names: list[str], length: int) -> str:
    """List as many names as fit, at least one, and count the others."""
    for count in range(len(names), 0, -1):
        more = f' +{len(names) - count}' if count < len(names) else ''
        text = ', '.join(names[:count])
        if len(text) + len(more) <= length:
            return text + more
    return shorten(names[0], length - len(more)) + more


def _caption(prediction: dict, per_head: bool) -> list[str]:
    """Explain the figure, one paragraph a string."""
    num_labels = len(prediction['labels'])
    if not num_labels:
        return ['No label reaches the threshold, so there is no attention to show.']
    num_heads, *cells = prediction['attention'].shape[1:]
    heads = f'each of its {num_heads} heads' if per_head else f'the mean of its {num_heads} heads'
    whose = 'each map' if per_head else "each label's map"
    caption = [
        f"Attention of the decoder's last layer, {heads}, on {' × '.join(map(str, cells))} cells, "
        f'enlarged smoothly. Colours: share of the strongest cell of {whose}; its weight is given '
        'as a multiple of the average cell (1 = looks everywhere alike).'
    ]
    if any(prediction['shares_query_with']):
        caption.append(
            'Groups: one query answers for several classes, so a map is not of its label alone but '
            'also of the classes named as "also".'
        )
    caption.append('Attention is where a query looked. It is no proof of why a label was given.')
    if num_labels > MAX_LABELS:
        caption.append(f'The {MAX_LABELS} best of {num_labels} labels are drawn.')
    return caption
