"""One image with its labels and scores beneath."""

import os
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from ..fileio.atomic_write import atomic_write
from ..fileio.terminal import printable

# DejaVu comes with matplotlib. The others are what systems have for the scripts that it lacks.
_FAMILIES = (
    'DejaVu Sans',
    'Noto Sans CJK SC',
    'Noto Sans CJK JP',
    'Source Han Sans SC',
    'WenQuanYi Zen Hei',
    'WenQuanYi Micro Hei',
    'PingFang SC',
    'Hiragino Sans',
    'Microsoft YaHei',
    'SimHei',
    'Droid Sans Fallback',
)


def label_font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Return the first font that has every character of ``text``, else DejaVu Sans.

    Args:
        text (str): What will be written.
        size (int): Height of the letters with their line, in pixels.
    """
    needed = {ord(character) for character in text}
    files = _font_files()
    return _load(
        next((file for file, known in files.items() if needed <= known), next(iter(files))), size
    )


@lru_cache
def _font_files() -> dict[str, frozenset[int]]:
    """Find the fonts that are installed, and which characters they have."""
    files = {}
    for family in _FAMILIES:
        try:
            file = font_manager.findfont(family, fallback_to_default=False)
        except ValueError:  # it is not installed
            continue
        files[file] = frozenset(FT2Font(file).get_charmap())
    return files


@lru_cache(maxsize=64)
def _load(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


MIN_SIDE, MAX_SIDE = 360, 1600  # pixels of the longer side; beyond, the image is scaled
MAX_LABELS = 30
LETTERS = 0.62  # their size, of the height of a line
BAR, BAR_GROUND = (166, 206, 230), (243, 243, 243)  # RGB; the blue of the contact sheet, light
INK, PALE_INK = (20, 20, 20), (110, 110, 110)


def labelled_image(image: np.ndarray, prediction: dict, out: str | os.PathLike) -> Path:
    """Write a JPEG of an image, and beneath it its labels in columns, with scores and bars.

    Nothing covers the image. It is scaled so that its longer side has 360 to 1,600 pixels, the
    writing with it. Up to 30 labels are shown, and how many more there are.

    Args:
        image (np.ndarray): BGR ``uint8``, ``(H, W, 3)``.
        prediction (dict): With ``labels`` (names) and ``scores`` (in ``[0, 1]``), best first.
        out (str | PathLike): The file; its folder is made, an older file is replaced.

    Returns:
        Path: ``out``.
    """
    image = _fit(image)
    height, width = image.shape[:2]
    line = round(np.clip(max(height, width) / 30, 22, 42))
    canvas_width = max(width, 10 * line)
    entries: list[tuple[str, float | None]] = list(
        zip(map(printable, prediction['labels']), prediction['scores'], strict=True)
    )
    if len(entries) > MAX_LABELS:
        entries[MAX_LABELS - 1 :] = [(f'… {len(entries) - MAX_LABELS + 1} more', None)]
    entries = entries or [('no label', None)]
    gap = line // 4
    columns = _columns([label for label, _ in entries], canvas_width, line)
    rows = -(-len(entries) // columns)
    canvas = Image.new('RGB', (canvas_width, height + rows * line + gap * (rows + 1)), 'white')
    canvas.paste(
        Image.fromarray(np.ascontiguousarray(image[..., ::-1])), ((canvas_width - width) // 2, 0)
    )
    draw = ImageDraw.Draw(canvas)
    cell_width = (canvas_width - gap * (columns + 1)) // columns
    for i, (label, score) in enumerate(entries):
        column, row = divmod(i, rows)  # down the columns, so that the best stand together
        left = gap + column * (cell_width + gap)
        top = height + gap + row * (line + gap)
        _draw_label(draw, (left, top, cell_width, line), label, score)
    with atomic_write(out) as path:
        canvas.save(path, 'JPEG', quality=90)
    return Path(out)


def _fit(image: np.ndarray) -> np.ndarray:
    """Scale an image so that its labels have room, and its file is no larger than is looked at."""
    side = max(image.shape[:2])
    scale = np.clip(side, MIN_SIDE, MAX_SIDE) / side
    if scale == 1:
        return image
    size = tuple(max(round(length * scale), 1) for length in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


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
    ink = PALE_INK if score is None else INK
    draw.text((left + pad, middle), _cut(label, font, end - left - pad), ink, font, anchor='lm')


def _cut(text: str, font, width: int) -> str:
    """Cut the middle out of a text that is wider than ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    kept = len(text) - 1
    while kept > 1:
        shorter = f'{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}'
        if font.getlength(shorter) <= width:
            return shorter
        kept -= 1
    return text[:1] + '…'
