"""A sheet of images beside their augmented versions."""

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mmcv
import numpy as np
from matplotlib.figure import Figure

from ..fileio.terminal import printable
from .figure import BLUE, DPI, save_figure, shorten

TILE = 1.75  # inches
GAP = 0.08
GROUP_GAP = 0.3
LINE = 0.15
CHARACTERS_AN_INCH = 15
MAX_TILES = 6  # in a row


@dataclass(frozen=True)
class AugmentedImage:
    """One image of an :func:`augmentation_sheet`."""

    title: str  # usually the name of its file
    labels: Sequence[str]  # the names of its labels; all are written
    tiles: Mapping[str, np.ndarray]  # BGR uint8 (H, W, 3), the original first, by their captions


def augmentation_sheet(
    images: Sequence[AugmentedImage], caption: str, out: str | os.PathLike
) -> Path:
    """Write a PNG with a group of tiles per image, its name and labels above; six fill a row.

    There is at least one image, and all have equally many tiles. The caption stands on top.
    """
    tiles = max(len(image.tiles) for image in images)
    group = tiles * (TILE + GAP) - GAP
    columns = max(1, min(MAX_TILES // tiles, len(images)))
    width = columns * group + (columns + 1) * GROUP_GAP
    headings = [_heading(image, group) for image in images]
    rows = [range(i, min(i + columns, len(images))) for i in range(0, len(images), columns)]
    shapes = []  # inches of the headings and of the tiles of each row
    for row in rows:
        lines = max(len(headings[i]) for i in row)
        aspect = max(t.shape[0] / t.shape[1] for i in row for t in images[i].tiles.values())
        shapes.append((lines * LINE, TILE * min(aspect, 1.0)))
    top = textwrap.wrap(caption, int(width * CHARACTERS_AN_INCH))
    height = sum(sum(shape) + 2 * LINE + GROUP_GAP / 2 for shape in shapes)
    height += len(top) * LINE + GROUP_GAP
    figure = Figure(figsize=(width, height), dpi=DPI)
    y = height - GROUP_GAP / 2
    words = dict(fontsize=8, va='top', parse_math=False, linespacing=1.25)
    figure.text(GROUP_GAP / width, y / height, '\n'.join(top), color='0.35', **words)
    y -= len(top) * LINE + GROUP_GAP / 2
    for row, (heading, tile_height) in zip(rows, shapes, strict=True):
        for column, i in enumerate(row):
            x = GROUP_GAP + column * (group + GROUP_GAP)
            name, *labels = headings[i]
            figure.text(x / width, y / height, name, weight='bold', **words)
            color = '0.5' if not images[i].labels else BLUE
            text = '\n'.join(labels)
            figure.text(x / width, (y - LINE) / height, text, color=color, **words)
            for tile_caption, tile in images[i].tiles.items():
                bottom = y - heading - tile_height - 0.04
                box = np.divide((x, bottom, TILE, tile_height), (width, height) * 2)
                axes = figure.add_axes(box)
                # a small image in its own pixels, not smoothed; of a large one no more than shown
                style = 'nearest' if max(tile.shape[:2]) < TILE * DPI else 'antialiased'
                if max(tile.shape[:2]) > 2 * TILE * DPI:
                    tile = mmcv.imrescale(tile, (int(2 * TILE * DPI),) * 2)
                axes.imshow(tile[..., ::-1], interpolation=style)
                axes.set_anchor('N')
                axes.set(xticks=(), yticks=())
                axes.spines[:].set_color('0.8')
                axes.set_title(tile_caption, fontsize=7, color='0.35', y=-0.02, va='top', pad=0)
                x += TILE + GAP
        y -= heading + tile_height + 2 * LINE + GROUP_GAP / 2
    return save_figure(figure, out)


def _heading(image: AugmentedImage, width: float) -> list[str]:
    """Return the lines above an image: its name, then its labels."""
    labels = printable(', '.join(image.labels)) or 'no label'
    characters = int(width * CHARACTERS_AN_INCH)
    return [shorten(image.title, characters), *textwrap.wrap(labels, characters)]
