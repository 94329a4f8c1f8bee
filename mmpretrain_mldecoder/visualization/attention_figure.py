"""One figure of an image and of where the model looked for each of its labels."""

import os
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..fileio.terminal import printable
from .attention_overlay import attention_overlay, times_average
from .save_figure import save_figure

PANEL_INCHES, PANEL_CHARACTERS = 2.2, 30  # width of a panel, and what fits above it
HEAD_PANEL_INCHES, HEAD_PANEL_CHARACTERS = 1.5, 20  # heads are many
GAP_INCHES = 0.15
MAX_ASPECT = 1.4  # height by width of a panel; what is taller is drawn narrower
MARGIN_INCHES = 0.2
COLUMNS = 4
MAX_LABELS = 23  # with the image, a full last row
LINE_INCHES = 0.17
DPI = 110


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
        per_head (bool): Whether to draw a row a label and a column a head, instead of the mean of
            the heads. Defaults to False.

    Returns:
        Path: ``out``.

    Raises:
        ValueError: If the prediction has no attention.
    """
    if 'attention' not in prediction:
        raise ValueError('the prediction has no attention: predict with return_attention=True')
    seen, attention = prediction['seen'], prediction['attention'][:MAX_LABELS]
    num_heads, *cells = attention.shape[1:]
    if per_head:
        titles = _titles(prediction, HEAD_PANEL_CHARACTERS)
        columns, panel_width = 1 + num_heads, HEAD_PANEL_INCHES
        rows = max(len(titles), 1)
    else:
        titles = _titles(prediction, PANEL_CHARACTERS)
        columns, panel_width = min(COLUMNS, max(1 + len(titles), 2)), PANEL_INCHES
        rows = -(-(1 + len(titles)) // columns)
    width = columns * (panel_width + GAP_INCHES) - GAP_INCHES + 2 * MARGIN_INCHES
    caption = _caption(prediction, cells, per_head)
    caption = '\n'.join(fill(part, int(13.5 * (width - 2 * MARGIN_INCHES))) for part in caption)
    title_lines = 3 if any(prediction['shares_query_with']) else 2
    figure, panels, caption_axes, bar_axes = _layout(
        (rows, columns),
        panel_width,
        panel_width * min(seen.shape[0] / seen.shape[1], MAX_ASPECT),
        title_lines * LINE_INCHES,
        (caption.count('\n') + 1) * LINE_INCHES,
    )
    if per_head:
        _draw_heads(panels, seen, attention, titles)
    else:
        _draw_labels(panels.ravel(), seen, attention, titles)
    if titles:
        _draw_bar(bar_axes)
    caption_axes.text(0, 1, caption, va='top', fontsize=8, color='0.25', parse_math=False)
    return save_figure(figure, out)


def _layout(
    grid: tuple[int, int], width: float, height: float, title: float, caption: float
) -> tuple[Figure, np.ndarray, Axes, Axes]:
    """Make a figure with a grid of panels, a colour bar and a place for the caption, in inches."""
    rows, columns = grid
    total_width = columns * (width + GAP_INCHES) - GAP_INCHES + 2 * MARGIN_INCHES
    bar, bar_room, row_height = 0.1, 0.45, title + height + GAP_INCHES
    total_height = MARGIN_INCHES + rows * row_height + bar_room + caption + MARGIN_INCHES
    figure = Figure(figsize=(total_width, total_height), dpi=DPI)

    def axes_at(left: float, top: float, wide: float, high: float) -> Axes:
        """Add axes whose upper left corner lies so many inches from the figure's."""
        bottom = total_height - top - high
        axes = figure.add_axes(
            (
                left / total_width,
                bottom / total_height,
                wide / total_width,
                high / total_height,
            )
        )
        axes.set_axis_off()
        return axes

    panels = np.empty(grid, dtype=object)
    for row, column in np.ndindex(*grid):
        left = MARGIN_INCHES + column * (width + GAP_INCHES)
        top = MARGIN_INCHES + row * row_height + title
        panels[row, column] = axes_at(left, top, width, height)
        panels[row, column].set_anchor('NW')
    below = MARGIN_INCHES + rows * row_height
    inside = total_width - 2 * MARGIN_INCHES
    bar_axes = axes_at(MARGIN_INCHES, below, min(inside, 2.2), bar)
    caption_axes = axes_at(MARGIN_INCHES, below + bar_room, inside, caption)
    return figure, panels, caption_axes, bar_axes


def _draw_labels(
    panels: np.ndarray, seen: np.ndarray, attention: np.ndarray, titles: list[str]
) -> None:
    """Draw the image, then one panel a label."""
    panels[0].imshow(seen[..., ::-1])
    _title(panels[0], 'the image' if titles else 'no label reaches the threshold')
    for axes, maps, title in zip(panels[1:], attention, titles, strict=False):
        weights = maps.mean(axis=0)
        axes.imshow(attention_overlay(seen, weights))
        _title(axes, f'{title}\nstrongest {times_average(weights):.1f}× average')


def _draw_heads(
    panels: np.ndarray, seen: np.ndarray, attention: np.ndarray, titles: list[str]
) -> None:
    """Draw a row a label: the image, then one panel a head."""
    if not titles:
        panels[0, 0].imshow(seen[..., ::-1])
        _title(panels[0, 0], 'no label reaches the threshold')
    for row, maps, title in zip(panels, attention, titles, strict=False):
        row[0].imshow(seen[..., ::-1])
        _title(row[0], title)
        for head, (axes, weights) in enumerate(zip(row[1:], maps, strict=True), 1):
            axes.imshow(attention_overlay(seen, weights))
            _title(axes, f'head {head}\n{times_average(weights):.1f}× average')


def _draw_bar(axes: Axes) -> None:
    """Draw the colours as they are over an image of medium grey."""
    strip = np.full((20, 400, 3), 128, np.uint8)
    rising = np.tile(np.linspace(0, 1, 400), (20, 1))
    axes.set_axis_on()
    axes.imshow(attention_overlay(strip, rising), extent=(0, 1, 0, 1), aspect='auto')
    axes.set_xticks([0, 0.5, 1], labels=['0', 'half', 'strongest cell'], fontsize=7)
    axes.set_yticks([])


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc='left', fontsize=8, pad=3, parse_math=False)


def _titles(prediction: dict, length: int) -> list[str]:
    """Name each label that is drawn, its score and, with groups, whose map it also is."""
    titles = []
    for label, score, others in zip(
        prediction['labels'], prediction['scores'], prediction['shares_query_with'], strict=True
    ):
        title = f'{_shorten(printable(label), length - 6)}  {score:.2f}'
        if others:
            title += f'\nalso {_enumerate(list(map(printable, others)), length - 5)}'
        titles.append(title)
    return titles[:MAX_LABELS]


def _enumerate(names: list[str], length: int) -> str:
    """List as many names as fit, at least one, and count the others."""
    for count in range(len(names), 0, -1):
        more = f' +{len(names) - count}' if count < len(names) else ''
        text = ', '.join(names[:count])
        if len(text) + len(more) <= length:
            return text + more
    return _shorten(names[0], length - len(more)) + more


def _caption(prediction: dict, cells: list[int], per_head: bool) -> list[str]:
    """Say what the figure shows, one paragraph a string."""
    num_labels = len(prediction['labels'])
    if not num_labels:
        return ['No label reaches the threshold, so there is no attention to show.']
    num_heads = prediction['attention'].shape[1]
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


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f'{text[: length - 1]}…'
