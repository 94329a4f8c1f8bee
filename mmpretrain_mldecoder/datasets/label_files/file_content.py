"""Text, JSON and XML of label files, with errors that name the place."""

from pathlib import Path
from typing import TypeVar
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

import msgspec

from ...errors import OpenQuestion
from ...fileio.files import read_whole_file
from ...fileio.json_files import decode_nan_as_null, read_json_bytes
from ...fileio.terminal import printable

_MARKS = {b'\xef\xbb\xbf': 'utf-8-sig', b'\xff\xfe': 'utf-16', b'\xfe\xff': 'utf-16'}
_ENCODINGS = ('cp1252', 'cp1251', 'gb18030', 'shift_jis')
Content = TypeVar('Content')


def encoding_of(data: bytes) -> str:
    """Return the encoding that the mark at the beginning states, or else UTF-8."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), 'utf-8')


def read_text(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file in UTF-8, or UTF-16 with a mark, or the encoding given.

    Raises:
        OpenQuestion: About ``encoding``, if it is neither.
        ValueError: If the text has another encoding than the one given, or a mixture.
    """
    data = bytes(read_whole_file(path))
    try:
        text = data.decode(encoding or encoding_of(data)).lstrip('\ufeff')
    except LookupError as error:
        raise ValueError(f'encoding: {encoding!r} is none that Python knows') from error
    except UnicodeDecodeError as error:
        raise _other_encoding(path, data, error.start, encoding) from error
    if '\0' in text:
        raise ValueError(
            f'{path} has NUL characters, so it is no text in {encoding or "UTF-8"}: convert it '
            'with iconv -f UTF-16 -t UTF-8, or set `encoding`'
        )
    return text


def _other_encoding(path: Path, data: bytes, place: int, encoding: str | None) -> ValueError:
    lines, number = data.split(b'\n'), data.count(b'\n', 0, place) + 1
    line = lines[number - 1].strip()
    where = f'{path}: line {number} is not {encoding or "UTF-8"}: {line[:80]!r}.'
    if encoding:
        return ValueError(f'{where} Give the encoding that all lines have')
    for other, each in enumerate(lines, 1):
        if not each.isascii() and _decoded(each, 'utf-8'):
            return ValueError(
                f'{where} Line {other} is UTF-8, so the file is a mixture of encodings: write it '
                'again, all in UTF-8; or if that is by chance, set `encoding`, such as gb18030'
            )
    return OpenQuestion(
        'encoding',
        f'{where} In which encoding is it? (Or convert it: iconv -t UTF-8.)',
        {name: printable(_decoded(line, name)[:80]) for name in _ENCODINGS if _decoded(data, name)},
    )


def _decoded(data: bytes, encoding: str) -> str:
    """Return the text, '' if it has another encoding."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return ''


def decode_json(path: Path, kind: type[Content], expected: str) -> Content:
    """Return the content of a JSON file as a type that msgspec knows.

    Raises:
        ValueError: If it is not JSON, or not as expected; names the place.
    """
    try:
        return decode_nan_as_null(read_json_bytes(path), msgspec.json.Decoder(kind).decode)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f'{path}: {error}. Expected is {expected}') from error


def decode_json_lines(path: Path, kind: type[Content], expected: str) -> list[Content]:
    """Return the content of a file with one JSON object a line; errors as :func:`decode_json`."""
    decoder = msgspec.json.Decoder(kind)
    records = []
    # not splitlines(), which splits at characters that JSON strings may have
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if line.strip():
            try:
                records.append(decode_nan_as_null(line.encode(), decoder.decode))
            except (msgspec.DecodeError, RecursionError) as error:
                raise ValueError(
                    f'{path}: line {number}: {error}. Expected is {expected}'
                ) from error
    return records


class _WithoutDoctype(TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse the declaration: its entities may fill the memory, or be other files."""
        raise ValueError('it has a DOCTYPE, which label files do not need: remove it')


def read_xml(path: Path) -> Element:
    """Return the root of an XML file.

    Raises:
        ValueError: If it is not XML, or has a DOCTYPE.
    """
    parser = XMLParser(target=_WithoutDoctype())
    try:
        parser.feed(path.read_bytes())
        return parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise ValueError(f'{path} cannot be read as XML: {error}') from error


def text_of(element: Element, name: str) -> str:
    """Return the stripped text of a child, '' without one."""
    return (element.findtext(name) or '').strip()
