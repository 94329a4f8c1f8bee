"""Attention maps: one laid over an image, and a figure of all labels or heads of an image."""

import os
from itertools import islice
from pathlib import Path
from textwrap import fill

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..fileio.terminal import printable
from .figure import DPI, save_figure, shorten

COLORMAP = 'inferno'  # its lightness rises throughout: it reads for the colour-blind and in grey
OPACITY = 0.6
PANEL_INCHES, PANEL_CHARACTERS = 2.2, 30  # width of a panel, and what fits above it
HEAD_PANEL_INCHES, HEAD_PANEL_CHARACTERS = 1.5, 20  # heads are many
GAP_INCHES = 0.15
MAX_ASPECT = 1.4  # height by width of a panel; what is taller is drawn narrower
MARGIN_INCHES = 0.2
COLUMNS = 4
MAX_LABELS = 23  # with the image, a full last row
LINE_INCHES = 0.17
BAR_ROOM_INCHES = 0.45


def attention_overlay(seen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Lay an attention map over an image: bright where the head looked.

    The map is enlarged bilinearly; its colours, from 0 to its strongest cell, cover the image by
    60 %. The image is drawn grey, so that colour only means attention.

    ``seen`` is BGR ``uint8``, ``(h, w, 3)``, the map ``(H, W)``, at least 0, of any sum. Returns
    RGB ``uint8``, ``(h, w, 3)``.
    """
    strongest = max(float(weights.max()), np.finfo(np.float32).tiny)
    enlarged = cv2.resize((weights / strongest).astype(np.float32), seen.shape[1::-1])
    heat = matplotlib.colormaps[COLORMAP](enlarged)[..., :3]
    grey = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY)[..., None] / 255
    mixed = OPACITY * heat + (1 - OPACITY) * grey
    return (255 * mixed).round().astype(np.uint8)


def times_average(weights: np.ndarray) -> float:
    """Return how many times the weight of an average cell the strongest cell of a map has."""
    return float(weights.max() / max(float(weights.mean()), np.finfo(np.float32).tiny))


def attention_title(prediction: dict, per_head: bool = False) -> str:
    """Return what the maps of a prediction are, such as "Class activation map"."""
    kind, num_heads = prediction['attention_kind'], prediction['attention'].shape[1]
    heads = f'each of its {num_heads} heads' if per_head else f'the mean of its {num_heads} heads'
    return kind[0].upper() + kind[1:] + (f', {heads}' if num_heads > 1 else '')


def attention_figure(prediction: dict, out: str | os.PathLike, per_head: bool = False) -> Path:
    """Draw an image and, for every label, where the head looked.

    The colours of an overlay go from 0 to the label's (or head's) strongest cell, see
    :func:`attention_overlay`. Above it stands how many times the average cell that one has.

    Args:
        prediction (dict): Of :class:`MultiLabelInferencer` with ``return_attention``: ``labels``,
            ``scores``, ``attention``, ``attention_kind``, ``shares_query_with`` and ``seen``. Up to
            23 labels are drawn, the first. Without any, the figure says so.
        out (str | PathLike): The PNG to write, and to return.
        per_head (bool): Whether to draw a row per label and a column per head, instead of the mean
            of the heads. Defaults to False.

    Raises:
        ValueError: If the prediction has no attention.
    """
    if 'attention' not in prediction:
        raise ValueError('the prediction has no attention: predict with return_attention=True')
    seen, attention = prediction['seen'], prediction['attention']
    panels = _panels(prediction, per_head)
    columns, width = min(COLUMNS, max(len(panels), 2)), PANEL_INCHES
    if per_head:
        columns, width = 1 + attention.shape[1], HEAD_PANEL_INCHES
    rows = -(-len(panels) // columns)
    height = width * min(seen.shape[0] / seen.shape[1], MAX_ASPECT)
    inside = columns * (width + GAP_INCHES) - GAP_INCHES
    caption = '\n'.join(fill(part, int(13.5 * inside)) for part in _caption(prediction, per_head))
    title = LINE_INCHES * (3 if any(prediction['shares_query_with']) else 2)
    bottom = MARGIN_INCHES + (caption.count('\n') + 1) * LINE_INCHES + BAR_ROOM_INCHES
    full_width = inside + 2 * MARGIN_INCHES
    full_height = bottom + rows * (title + height + GAP_INCHES) + MARGIN_INCHES
    figure = Figure(figsize=(full_width, full_height), dpi=DPI)
    left = MARGIN_INCHES / full_width
    place = dict(
        left=left,
        right=1 - left,
        bottom=(bottom + GAP_INCHES) / full_height,
        top=1 - (MARGIN_INCHES + title) / full_height,
        wspace=GAP_INCHES / width,
        hspace=(title + GAP_INCHES) / height,
    )
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=place)
    for axes in grid.flat:
        axes.set_axis_off()
        axes.set_anchor('NW')
    for axes, (image, name) in zip(grid.flat, panels, strict=False):
        axes.imshow(image)
        axes.set_title(name, loc='left', fontsize=8, pad=3, parse_math=False)
    if prediction['labels']:
        box = (left, (bottom - 0.1) / full_height, min(inside, 2.2) / full_width, 0.1 / full_height)
        _draw_bar(figure.add_axes(box))
    top = (bottom - BAR_ROOM_INCHES) / full_height
    figure.text(left, top, caption, va='top', fontsize=8, color='0.25', parse_math=False)
    return save_figure(figure, out)


def _panels(prediction: dict, per_head: bool) -> list[tuple[np.ndarray, str]]:
    """Return image and title of each panel, in the order of reading.

    A title has the label, its score, with groups whose map it also is, and how peaked the map is.
    """
    photo = prediction['seen'][..., ::-1]
    if not prediction['labels']:
        return [(photo, 'no label reaches the threshold')]
    length = HEAD_PANEL_CHARACTERS if per_head else PANEL_CHARACTERS
    panels = [] if per_head else [(photo, 'the image')]
    columns = (prediction[key] for key in ('labels', 'scores', 'shares_query_with', 'attention'))
    for label, score, others, maps in islice(zip(*columns, strict=True), MAX_LABELS):
        title = f'{shorten(label, length - 6)}  {score:.2f}'
        if others:
            title += f'\nalso {_enumerate([*map(printable, others)], length - 5)}'
        if per_head:
            panels.append((photo, title))
            parts = [(f'head {head}\n', weights) for head, weights in enumerate(maps, 1)]
        else:
            parts = [(f'{title}\nstrongest ', maps.mean(axis=0))]
        for words, weights in parts:
            overlay = attention_overlay(prediction['seen'], weights)
            panels.append((overlay, f'{words}{times_average(weights):.1f}× average'))
    return panels


def _draw_bar(axes: Axes) -> None:
    """Draw the colours as they are over an image of medium grey."""
    strip = np.full((20, 400, 3), 128, np.uint8)
    rising = np.tile(np.linspace(0, 1, 400), (20, 1))
    axes.imshow(attention_overlay(strip, rising), extent=(0, 1, 0, 1), aspect='auto')
    axes.set_xticks([0, 0.5, 1], labels=['0', 'half', 'strongest cell'], fontsize=7)
    axes.set_yticks([])


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
    cells = ' × '.join(map(str, prediction['attention'].shape[2:]))
    whose = 'each map' if per_head else "each label's map"
    caption = [
        f'{attention_title(prediction, per_head)}, on {cells} cells, enlarged smoothly. Colours: '
        f'share of the strongest cell of {whose}; its weight is given as a multiple of the average '
        'cell (1 = looks everywhere alike).'
    ]
    if any(prediction['shares_query_with']):
        caption.append(
            'Groups: one query answers for several classes, so a map is not of its label alone but '
            'also of the classes named as "also".'
        )
    caption.append('This is where the head looked. It is no proof of why a label was given.')
    if num_labels > MAX_LABELS:
        caption.append(f'The {MAX_LABELS} best of {num_labels} labels are drawn.')
    return caption
