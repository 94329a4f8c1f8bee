"""HTML pages that hold all they show, made of a frame, styles, scripts and data."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

TEMPLATE = Path(__file__).parent / 'template'
"""The parts of the report; ``page.css`` and ``element.js`` serve other pages, too."""


def render_page(
    frame: Path,
    styles: Sequence[Path],
    scripts: Sequence[Path],
    data: dict,
    **parts: str,
) -> str:
    """Put parts into a frame that has ``{{styles}}``, ``{{scripts}}``, ``{{data}}`` and others.

    Names are never HTML: the scripts read them from a block of JSON, which nothing in it can end,
    and write them as text.
    """
    # ASCII: a file name may hold bytes that are no UTF-8.
    text = json.dumps(data, separators=(',', ':'), allow_nan=False)
    for character in '<>&':
        text = text.replace(character, f'\\u{ord(character):04x}')
    parts |= dict(styles=_joined(styles), scripts=_joined(scripts), data=text)
    return re.sub(r'\{\{(\w+)\}\}', lambda place: parts[place[1]], _joined([frame]))


def _joined(paths: Sequence[Path]) -> str:
    return '\n'.join(path.read_text(encoding='utf-8') for path in paths)
