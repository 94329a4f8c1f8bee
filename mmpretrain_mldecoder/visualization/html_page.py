"""HTML pages that hold all they show: one frame, and each with a body, styles, scripts and data."""

import base64
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..fileio.atomic_write import write_file
from ..version import __version__

_SHARED = Path(__file__).parent / 'template'
_DATA = re.compile(r'<script id="data" type="application/json">(.*?)</script>', re.S)


def write_page(
    out: Path,
    body: Path,
    scripts: Sequence[str],
    kind: str,
    data: dict,
    images: str = 'data:',
    sync: bool = True,
    **parts: str,
) -> None:
    """Write a page, whose file is complete at any time.

    Names are never HTML: the scripts read them from a block of JSON, which nothing in it can end,
    and write them as text.

    The ``body``, ``NAME.html``, has a ``{{name}}`` for each of the ``parts``, which are HTML;
    beside it are ``NAME.css`` and the ``scripts``, in order, after those that pages share. They
    read ``data``, of which ``title`` and ``notes`` are for the frame. ``kind`` ends the title of
    the window, ``images`` says where images may come from, as the policy of the page has it;
    ``sync`` is that of :func:`.atomic_write`.
    """
    # ASCII: a file name may hold bytes that are no UTF-8.
    text = json.dumps(data | dict(version=__version__), separators=(',', ':'), allow_nan=False)
    for character in '<>&':
        text = text.replace(character, f'\\u{ord(character):04x}')
    own = [body.with_name(f'{name}.js') for name in scripts]
    page = _fill(
        _read(_SHARED / 'frame.html'),
        title=kind,
        images=images,
        styles=_read(_SHARED / 'frame.css', body.with_suffix('.css')),
        body=_fill(_read(body), **parts),
        data=text,
        scripts=_read(_SHARED / 'frame.js', _SHARED / 'sorted_table.js', *own),
    )
    write_file(out, page, sync)


def _fill(template: str, **parts: str) -> str:
    return re.sub(r'\{\{(\w+)\}\}', lambda place: parts[place[1]], template)


def _read(*paths: Path) -> str:
    return '\n'.join(path.read_text(encoding='utf-8') for path in paths)


def read_page_data(page: Path) -> dict:
    """Return the data of a page of :func:`write_page`; ``ValueError`` if it is another page."""
    found = _DATA.search(page.read_text(encoding='utf-8'))
    if found is None:
        raise ValueError(f'{page} has no data of mmpretrain_mldecoder')
    return json.loads(found[1])


def image_address(image: Image.Image, form: str = 'JPEG') -> str:
    """Return a small image as a data address, for the ``src`` of an ``img``."""
    buffer = io.BytesIO()
    image.save(buffer, form, quality=72, optimize=True)
    return f'data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}'
