"""HTML pages that hold all they show, made of a frame, styles, scripts and data."""

import base64
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

TEMPLATE = Path(__file__).parent / 'template'
"""What pages share: ``page.css``, ``element.js`` and ``sorted_table.js``; and the parts of one."""
_DATA = re.compile(r'<script id="data" type="application/json">(.*?)</script>', re.S)


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


def read_page_data(page: Path) -> dict:
    """Return the data of a page of :func:`render_page`.

    Raises:
        FileNotFoundError: If there is no such page.
        ValueError: If it is another page.
    """
    found = _DATA.search(page.read_text(encoding='utf-8'))
    if found is None:
        raise ValueError(f'{page} has no data of mmpretrain_mldecoder')
    return json.loads(found[1])


def image_address(image: Image.Image, form: str = 'JPEG') -> str:
    """Return a small image as a data address, for the ``src`` of an ``img``."""
    buffer = io.BytesIO()
    image.save(buffer, form, quality=72, optimize=True)
    return f'data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}'
