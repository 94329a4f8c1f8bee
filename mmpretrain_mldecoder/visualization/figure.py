"""Colours, fonts, shortened names and atomic saving, for all figures."""

import os
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

from ..fileio.atomic_write import atomic_write
from ..fileio.terminal import printable

DPI = 110
# Okabe and Ito's palette for the colour-blind.
BLUE, ORANGE, GREEN, PINK, YELLOW = '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00'
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


def shorten(text: str, width: float, measure: Callable[[str], float] = len) -> str:
    """Escape what no font has, and cut out the middle of a text that ``measure`` finds too wide."""
    text = printable(text)
    if measure(text) <= width:
        return text

    def cut(kept: int) -> str:
        return f'{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}'

    kept = bisect_right(range(1, len(text)), width, key=lambda number: measure(cut(number)))
    return cut(max(kept, 1))


def label_font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Return the first font that has every character of ``text``, else DejaVu Sans.

    ``size`` is the height of the letters with their line, in pixels.
    """
    needed, files = set(map(ord, text)), _font_files()
    fitting = (file for file, known in files.items() if needed <= known)
    return _load(next(fitting, next(iter(files))), size)


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


_load = lru_cache(maxsize=64)(ImageFont.truetype)


def save_figure(figure: Figure, out: str | os.PathLike) -> Path:
    """Write a figure as a PNG, complete or not at all; return ``out``, whose folder is made."""
    with atomic_write(out) as path:
        FigureCanvasAgg(figure).print_png(path)
    return Path(out)
