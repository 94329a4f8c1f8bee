"""A contact sheet: a grid of images, each with its labels and scores beneath."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..datasets.decode_image import decode_image
from ..datasets.image_files import read_image_file
from ..fileio.atomic_write import atomic_write
from .figure import GREEN, ORANGE, PINK, label_font, shorten
from .labelled_image import PALE_INK, Label, draw_labels

# Colour and symbol both tell the kinds apart, so that the sheet also reads without colour.
HIT = dict(sign='✓', color=GREEN)
FALSE_ALARM = dict(sign='✗', color=ORANGE)
MISS = dict(sign='○', color=PINK)
LEGEND = {'hit': HIT, 'false alarm': FALSE_ALARM, 'miss': MISS}

CELL = 300  # pixels, the longer side of an image
GAP, LINE, LETTERS = 16, 22, 13
MAX_LABELS = 12


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
        UnreadableImageError: If a file cannot be read, by the rules of :func:`.decode_image`.
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
    cells = list(map(_cell, images, predictions, truth or [None] * len(images)))
    columns = min(columns, len(cells))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    top = GAP if truth is None else GAP + LINE
    size = (columns * (CELL + GAP) + GAP, top + sum(heights) + GAP * len(rows))
    sheet = Image.new('RGB', size, 'white')
    if truth is not None:
        _draw_legend(ImageDraw.Draw(sheet))
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            sheet.paste(cell, (GAP + column * (CELL + GAP) + (CELL - cell.width) // 2, top))
        top += height + GAP
    with atomic_write(out) as path:
        sheet.save(path, 'PNG')
    return Path(out)


def _cell(
    image: str | os.PathLike | np.ndarray, prediction: dict, truth: Sequence[str] | None
) -> Image.Image:
    """Draw an image with its file name above and its labels beneath, best first."""
    if not isinstance(image, np.ndarray):
        image = decode_image(os.fspath(image), read_image_file(os.fspath(image)))
    labels = [
        Label(text, score, **({} if truth is None else HIT if text in truth else FALSE_ALARM))
        for text, score in zip(prediction['labels'], prediction['scores'], strict=True)
    ]
    labels += [Label(text, **MISS) for text in truth or () if text not in prediction['labels']]
    labelled = draw_labels(image, labels, MAX_LABELS, CELL)
    cell = Image.new('RGB', (labelled.width, labelled.height + LINE), 'white')
    cell.paste(labelled, (0, LINE))
    name = os.path.basename(prediction.get('path', ''))
    font = label_font(name, LETTERS)
    name = shorten(name, cell.width, font.getlength)
    ImageDraw.Draw(cell).text((cell.width // 2, LINE // 2), name, PALE_INK, font, anchor='mm')
    return cell


def _draw_legend(draw: ImageDraw.ImageDraw) -> None:
    left = GAP
    for name, kind in LEGEND.items():
        font = label_font(kind['sign'], LETTERS)
        text = f'{kind["sign"]} {name}'
        draw.text((left, GAP // 2 + LINE // 2), text, kind['color'], font, anchor='lm')
        left += round(font.getlength(text)) + 2 * GAP
