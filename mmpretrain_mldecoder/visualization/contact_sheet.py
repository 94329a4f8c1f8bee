"""A contact sheet: a grid of images, each with its labels and scores beneath."""

import os
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from .figure import BLUE, DPI, GREEN, ORANGE, PINK, save_figure, shorten, thumbnail

# Colour and symbol both tell the kinds apart, so that the sheet also reads without colour.
HIT = ('✓', GREEN, 'hit')
FALSE_ALARM = ('✗', ORANGE, 'false alarm')
MISS = ('○', PINK, 'miss')
UNJUDGED = ('', BLUE, '')

CELL_INCHES = 2.2
ROW_INCHES = 0.2
MAX_ROWS = 12
MAX_CHARACTERS = 25


def contact_sheet(
    images: Sequence[str | os.PathLike | np.ndarray],
    predictions: Sequence[dict],
    out: str | os.PathLike,
    columns: int = 4,
    truth: Sequence[Sequence[str]] | None = None,
) -> Path:
    """Draw a grid of images with their predicted labels, scores as text and as bars.

    With ``truth``, a label is a hit (✓, green), a false alarm (✗, orange) or, if it is true and
    was not predicted, a miss (○, pink, without a score). An image shows up to 12 labels and says
    how many more there are; its file name stands above it, if the prediction has a ``path``.

    Args:
        images: Paths, or BGR ``uint8`` arrays ``(H, W, 3)``.
        predictions: One dict per image with ``labels`` (names) and ``scores`` (in ``[0, 1]``), as
            :class:`MultiLabelInferencer` gives them.
        out (str | PathLike): The PNG to write, and to return.
        columns (int): Images per row, at least 1. Defaults to 4.
        truth: The names of the true labels of each image. Defaults to None.

    Raises:
        ValueError: If there is no image, ``columns`` is below 1, or the lengths differ.
    """
    if not images or columns < 1:
        raise ValueError(f'nothing to draw: {len(images)} images in {columns} columns')
    if len(predictions) != len(images) or (truth is not None and len(truth) != len(images)):
        truths = 'no' if truth is None else len(truth)
        raise ValueError(
            f'{len(images)} images need as many predictions and truths, but there are '
            f'{len(predictions)} predictions and {truths} truths'
        )
    entries = list(map(_entries, predictions, truth or [None] * len(images)))
    thumbnails = [thumbnail(mmcv.imread(image), CELL_INCHES) for image in images]
    columns = min(columns, len(images))
    # A row of the grid is as high as its highest image and its longest list of labels ask for.
    lines, heights = [], []
    for start in range(0, len(images), columns):
        row = slice(start, start + columns)
        lines.append(max(1, *map(len, entries[row])))
        aspect = max(small.shape[0] / small.shape[1] for small in thumbnails[row])
        heights += [ROW_INCHES * 1.5, CELL_INCHES * min(aspect, 1), ROW_INCHES * lines[-1]]
    legend = 0.0 if truth is None else 1.5 * ROW_INCHES
    width, height = columns * (CELL_INCHES + 0.2) + 0.2, sum(heights) + legend + 0.2
    figure = Figure(figsize=(width, height), dpi=DPI)
    grid = figure.add_gridspec(
        len(heights),
        columns,
        height_ratios=heights,
        left=0.2 / width,
        right=1 - 0.2 / width,
        top=1 - legend / height,
        bottom=0.2 / height,
        hspace=0,
        wspace=0.2 / CELL_INCHES,
    )
    for i, small in enumerate(thumbnails):
        row, column = divmod(i, columns)
        axes = figure.add_subplot(grid[3 * row + 1, column])
        axes.imshow(small[..., ::-1])
        axes.set_anchor('S')
        axes.set_axis_off()
        name = shorten(os.path.basename(predictions[i].get('path', '')), MAX_CHARACTERS)
        axes.set_title(name, fontsize=7, color='0.4', pad=3, parse_math=False)
        _draw_labels(figure.add_subplot(grid[3 * row + 2, column]), entries[i], lines[row])
    if truth is not None:
        kinds = (HIT, FALSE_ALARM, MISS)
        handles = [Patch(color=color, label=f'{sign} {name}') for sign, color, name in kinds]
        style = dict(frameon=False, fontsize=8, handlelength=1, columnspacing=1)
        figure.legend(handles=handles, loc='upper center', ncols=len(kinds), **style)
    return save_figure(figure, out)


def _entries(prediction: dict, truth: Sequence[str] | None) -> list[tuple]:
    """List what stands beneath one image: ``(kind, label, score or None)``, best first."""
    entries = []
    for label, score in zip(prediction['labels'], prediction['scores'], strict=True):
        kind = UNJUDGED if truth is None else HIT if label in truth else FALSE_ALARM
        entries.append((kind, label, score))
    entries += [(MISS, label, None) for label in truth or () if label not in prediction['labels']]
    if len(entries) > MAX_ROWS:
        hidden = len(entries) - MAX_ROWS + 1
        entries[MAX_ROWS - 1 :] = [(UNJUDGED, f'… {hidden} more', None)]
    return entries


def _draw_labels(axes: Axes, entries: list[tuple], lines: int) -> None:
    """Write one line per label; the bar behind it is as long as the score."""
    axes.set(xlim=(0, 1), ylim=(lines, 0))
    axes.set_axis_off()
    style = dict(va='center', fontsize=8, parse_math=False)
    if not entries:
        axes.text(0.5, 0.5, 'no label', ha='center', color='0.5', **style)
    for line, ((sign, color, _), label, score) in enumerate(entries):
        axes.add_patch(Rectangle((0, line + 0.08), 1, 0.84, color='0.95', lw=0))
        if score is not None:
            axes.add_patch(Rectangle((0, line + 0.08), score, 0.84, color=color, alpha=0.35, lw=0))
            axes.text(0.98, line + 0.5, f'{score:.2f}', ha='right', **style)
        axes.text(0.03, line + 0.5, sign, color=color, weight='bold', **style)
        axes.text(0.11 if sign else 0.03, line + 0.5, shorten(label, MAX_CHARACTERS), **style)
