"""One image with its labels and scores beneath."""

import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ..fileio.atomic_write import atomic_write
from ..fileio.terminal import printable
from .figure import label_font, shorten

MIN_SIDE, MAX_SIDE = 360, 1600  # pixels of the longer side; beyond, the image is scaled
MAX_LABELS = 30
LETTERS = 0.62  # their size, of the height of a line
BAR, BAR_GROUND = (166, 206, 230), (243, 243, 243)  # RGB; the blue of the contact sheet, light
INK, PALE_INK = (20, 20, 20), (110, 110, 110)


def labelled_image(image: np.ndarray, prediction: dict, out: str | os.PathLike) -> Path:
    """Write a JPEG or PNG of an image, and beneath it its labels in columns, with scores and bars.

    Nothing covers the image. It is scaled so that its longer side has 360 to 1,600 pixels, the
    writing with it. Up to 30 labels are shown, and how many more there are.

    Args:
        image (np.ndarray): BGR ``uint8``, ``(H, W, 3)``.
        prediction (dict): With ``labels`` (names) and ``scores`` (in ``[0, 1]``), best first.
        out (str | PathLike): The file to write, and to return; a PNG if it ends in ``.png``.
    """
    side = max(image.shape[:2])
    scale = np.clip(side, MIN_SIDE, MAX_SIDE) / side
    if scale != 1:
        size = [max(round(length * scale), 1) for length in image.shape[1::-1]]
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, size, interpolation=how)
    height, width = image.shape[:2]
    line = round(np.clip(max(height, width) / 30, 22, 42))
    canvas_width = max(width, 10 * line)
    entries = list(zip(map(printable, prediction['labels']), prediction['scores'], strict=True))
    if len(entries) > MAX_LABELS:
        entries[MAX_LABELS - 1 :] = [(f'… {len(entries) - MAX_LABELS + 1} more', None)]
    entries = entries or [('no label', None)]
    gap = line // 4
    columns = _columns([label for label, _ in entries], canvas_width, line)
    rows = -(-len(entries) // columns)
    canvas = Image.new('RGB', (canvas_width, height + rows * line + gap * (rows + 1)), 'white')
    rgb = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    canvas.paste(rgb, ((canvas_width - width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    cell_width = (canvas_width - gap * (columns + 1)) // columns
    for i, (label, score) in enumerate(entries):
        column, row = divmod(i, rows)  # down the columns, so that the best stand together
        left = gap + column * (cell_width + gap)
        top = height + gap + row * (line + gap)
        _draw_label(draw, (left, top, cell_width, line), label, score)
    with atomic_write(out) as path:
        canvas.save(path, 'PNG' if Path(out).suffix == '.png' else 'JPEG', quality=90)
    return Path(out)


def _columns(labels: list[str], width: int, line: int) -> int:
    """Choose so many columns that every label fits, if that makes no more than 12 rows."""
    size = round(line * LETTERS)
    longest = max(label_font(label, size).getlength(label) for label in labels) + 3.5 * line
    roomy = int(width // max(longest, 9 * line))
    return min(max(roomy, -(-len(labels) // 12), 1), len(labels))


def _draw_label(
    draw: ImageDraw.ImageDraw, cell: tuple[int, int, int, int], label: str, score: float | None
) -> None:
    """Write a label into a cell (left, top, width, height), over a bar as long as its score."""
    left, top, width, height = cell
    right, bottom, middle, pad = left + width, top + height, top + height // 2, height // 4
    size = round(height * LETTERS)
    end = right - pad
    if score is not None:
        draw.rectangle((left, top, right, bottom), fill=BAR_GROUND)
        draw.rectangle((left, top, left + round(width * score), bottom), fill=BAR)
        digits = label_font('0', size)
        draw.text((end, middle), f'{score:.2f}', INK, digits, anchor='rm')
        end -= round(digits.getlength('0.00')) + pad
    font = label_font(label, size)
    text = shorten(label, end - left - pad, font.getlength)
    draw.text((left + pad, middle), text, PALE_INK if score is None else INK, font, anchor='lm')
