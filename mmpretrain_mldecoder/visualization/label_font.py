"""Fonts for the names of labels, in any script for which one is installed."""

from functools import lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

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
