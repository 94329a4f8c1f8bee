"""Images with their labels and scores beneath: one, or a grid of them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw

from ..datasets.decode_image import decode_image
from ..datasets.image_files import read_image_file
from ..fileio.atomic_write import atomic_write
from ..fileio.terminal import printable
from .figure import BLUE, GREEN, ORANGE, PINK, label_font, shorten

MIN_SIDE, MAX_SIDE = 360, 1600  # pixels of the longer side; beyond, the image is scaled
MAX_LABELS = 30
LETTERS = 0.62  # their size, of the height of a line
GROUND, OPACITY = (243, 243, 243), 0.35  # under a label, RGB; and of its bar
INK, PALE_INK = (20, 20, 20), (110, 110, 110)
# Colour and symbol both tell the kinds of a sheet apart, so that it also reads without colour.
HIT = dict(sign='✓', color=GREEN)
FALSE_ALARM = dict(sign='✗', color=ORANGE)
MISS = dict(sign='○', color=PINK)
LEGEND = {'hit': HIT, 'false alarm': FALSE_ALARM, 'miss': MISS}
CELL, GAP, LINE, SHEET_LETTERS = 300, 16, 22, 13  # of a sheet, pixels; a cell is an image
SHEET_LABELS, COLUMNS = 12, 4


class Label(NamedTuple):
    """What is written beneath an image; without a score there is no bar, with a sign it leads."""

    text: str
    score: float | None = None
    sign: str = ''
    color: str = BLUE


def labelled_image(image: np.ndarray, prediction: dict, out: str | os.PathLike) -> Path:
    """Write a JPEG or PNG of an image, and beneath it its labels in columns, with scores and bars.

    Nothing covers the image. It is scaled so that its longer side has 360 to 1,600 pixels, the
    writing with it. Up to 30 labels are shown, and how many more there are. The image is BGR
    ``uint8``, ``(H, W, 3)``; a prediction has ``labels`` (names) and ``scores`` (in ``[0, 1]``),
    best first. The file is a PNG if ``out``, which is returned, ends in ``.png``.
    """
    pairs = zip(prediction['labels'], prediction['scores'], strict=True)
    labels = [Label(*pair) for pair in pairs]
    side = int(np.clip(max(image.shape[:2]), MIN_SIDE, MAX_SIDE))
    canvas = draw_labels(image, labels, MAX_LABELS, side)
    with atomic_write(out) as path:
        canvas.save(path, 'PNG' if Path(out).suffix == '.png' else 'JPEG', quality=90)
    return Path(out)


def draw_labels(image: np.ndarray, labels: list[Label], most: int, side: int) -> Image.Image:
    """Draw an image, its longer side scaled to ``side`` pixels, with at most so many labels."""
    scale = side / max(image.shape[:2])
    if scale != 1:
        size = [max(round(length * scale), 1) for length in image.shape[1::-1]]
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, size, interpolation=how)
    height, width = image.shape[:2]
    line = round(np.clip(max(height, width) / 30, 22, 42))
    canvas_width = max(width, 10 * line)
    labels = [label._replace(text=printable(label.text)) for label in labels]
    if len(labels) > most:
        labels[most - 1 :] = [Label(f'… {len(labels) - most + 1} more')]
    labels = labels or [Label('no label')]
    gap = line // 4
    columns = _columns([label.text for label in labels], canvas_width, line)
    rows = -(-len(labels) // columns)
    canvas = Image.new('RGB', (canvas_width, height + rows * line + gap * (rows + 1)), 'white')
    rgb = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    canvas.paste(rgb, ((canvas_width - width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    cell_width = (canvas_width - gap * (columns + 1)) // columns
    for i, label in enumerate(labels):
        column, row = divmod(i, rows)  # down the columns, so that the best stand together
        left = gap + column * (cell_width + gap)
        top = height + gap + row * (line + gap)
        _draw_label(draw, (left, top, cell_width, line), label)
    return canvas


def _columns(labels: list[str], width: int, line: int) -> int:
    """Choose so many columns that every label fits, if that makes no more than 12 rows."""
    size = round(line * LETTERS)
    longest = max(label_font(label, size).getlength(label) for label in labels) + 3.5 * line
    roomy = int(width // max(longest, 9 * line))
    return min(max(roomy, -(-len(labels) // 12), 1), len(labels))


def _draw_label(draw: ImageDraw.ImageDraw, cell: tuple[int, int, int, int], label: Label) -> None:
    """Write a label into a cell (left, top, width, height), over a bar as long as its score."""
    left, top, width, height = cell
    right, bottom, middle, pad = left + width, top + height, top + height // 2, height // 4
    size = round(height * LETTERS)
    start, end = left + pad, right - pad
    is_remark = label.score is None and not label.sign
    if not is_remark:
        draw.rectangle((left, top, right, bottom), fill=GROUND)
    if label.score is not None:
        bar = tuple(round(255 - OPACITY * (255 - c)) for c in ImageColor.getrgb(label.color))
        draw.rectangle((left, top, left + round(width * label.score), bottom), fill=bar)
        digits = label_font('0', size)
        draw.text((end, middle), f'{label.score:.2f}', INK, digits, anchor='rm')
        end -= round(digits.getlength('0.00')) + pad
    if label.sign:
        font = label_font(label.sign, size)
        draw.text((start, middle), label.sign, label.color, font, anchor='lm')
        start += round(font.getlength(label.sign)) + pad
    font = label_font(label.text, size)
    text = shorten(label.text, end - start, font.getlength)
    draw.text((start, middle), text, PALE_INK if is_remark else INK, font, anchor='lm')


def contact_sheet(
    images: Sequence[str | os.PathLike | np.ndarray],
    predictions: Sequence[dict],
    out: str | os.PathLike,
    truth: Sequence[Sequence[str]] | None = None,
) -> Path:
    """Draw a grid of images with their predicted labels, scores as text and as bars, as a PNG.

    With ``truth``, the names of the true labels of each image, a label is a hit (✓, green), a false
    alarm (✗, orange) or, if it is true and was not predicted, a miss (○, pink, without a score). An
    image, a path or array, shows up to 12 labels and says how many more there are; its file name
    stands above it, if its prediction, as of :func:`labelled_image`, has a ``path``.

    Raises:
        UnreadableImageError: If a file cannot be read, by the rules of :func:`.decode_image`.
        ValueError: If there is no image, or the lengths differ.
    """
    truths = [None] * len(images) if truth is None else truth
    cells = [_cell(*parts) for parts in zip(images, predictions, truths, strict=True)]
    if not cells:
        raise ValueError('a contact sheet needs an image')
    columns = min(COLUMNS, len(cells))
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
    labelled = draw_labels(image, labels, SHEET_LABELS, CELL)
    cell = Image.new('RGB', (labelled.width, labelled.height + LINE), 'white')
    cell.paste(labelled, (0, LINE))
    name = os.path.basename(prediction.get('path', ''))
    font = label_font(name, SHEET_LETTERS)
    name = shorten(name, cell.width, font.getlength)
    ImageDraw.Draw(cell).text((cell.width // 2, LINE // 2), name, PALE_INK, font, anchor='mm')
    return cell


def _draw_legend(draw: ImageDraw.ImageDraw) -> None:
    left = GAP
    for name, kind in LEGEND.items():
        font = label_font(kind['sign'], SHEET_LETTERS)
        text = f'{kind["sign"]} {name}'
        draw.text((left, GAP // 2 + LINE // 2), text, kind['color'], font, anchor='lm')
        left += round(font.getlength(text)) + 2 * GAP
