"""A file or folder that may hold labels, and reading of its text and JSON."""

import json
import os
import os.path as osp
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from ...errors import OpenQuestion
from ...fileio.files import read_whole_file
from ...fileio.json_files import read_json_bytes
from ...fileio.terminal import printable
from .answers import Answers
from .image_names import ImageNames
from .label_table import Labels

_HEAD = 2**16  # bytes that a format is recognised by
_MARKS = {b'\xef\xbb\xbf': 'utf-8-sig', b'\xff\xfe': 'utf-16', b'\xfe\xff': 'utf-16'}
_ENCODINGS = ('cp1252', 'cp1251', 'gb18030', 'shift_jis')
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
Content = TypeVar('Content')


class LabelSource:
    """A file or folder that may hold labels.

    Args:
        path (Path): The file or folder.
        images (ImageNames): Those below the data.
    """

    def __init__(self, path: Path, images: ImageNames):
        self.path, self.images = path, images

    @cached_property
    def folder(self) -> str:
        """The folder that holds it, relative to the data, with slashes; '' for the data."""
        own = self.path if self.path.is_dir() else self.path.parent
        folder = osp.relpath(own, self.images.data)
        return '' if folder == osp.curdir else folder.replace(osp.sep, '/')

    @cached_property
    def files(self) -> list[str]:
        """Sorted names of the ``.xml`` and ``.txt`` files in a folder."""
        if not self.path.is_dir():
            return []
        names = os.listdir(self.path)
        return sorted(name for name in names if name.lower().endswith(('.xml', '.txt')))

    @cached_property
    def head(self) -> str:
        """The text with which a file begins, what is not Unicode replaced; '' of a folder."""
        if not self.path.is_file():
            return ''
        with self.path.open('rb') as file:
            data = file.read(_HEAD)
        return data.decode(_encoding(data), errors='replace')

    @cached_property
    def lines(self) -> list[str]:
        """The complete lines of the head that are not blank."""
        lines = self.head.splitlines()
        cut = len(self.head) >= _HEAD // 4 and len(lines) > 1
        return [line for line in (lines[:-1] if cut else lines) if line.strip()]

    @cached_property
    def json(self) -> Any:
        """The top level of a ``.json`` file: an object or a list of objects; None of others.

        The values are not decoded (``msgspec.Raw``); of a list only the first element is given.
        """
        if self.path.suffix.lower() != '.json' or not self.path.is_file():
            return None
        try:
            data = read_json_bytes(self.path)
            if self.head.lstrip('\ufeff \t\r\n').startswith('['):
                first = msgspec.json.decode(data, type=list[msgspec.Raw])[:1]
                return [_OBJECT.decode(item) for item in first]
            return _OBJECT.decode(data)
        except (ValueError, RecursionError):
            return None

    @property
    def keys(self) -> frozenset[str]:
        """The keys of a JSON object, or of the first one of a list or of JSON lines."""
        if self.path.suffix.lower() in ('.jsonl', '.ndjson'):
            try:
                first = json.loads(self.lines[0].lstrip('\ufeff')) if self.lines else None
            except (ValueError, RecursionError):
                return frozenset()
            return frozenset(first if isinstance(first, dict) else ())
        content = self.json
        first = content[0] if isinstance(content, list) and content else content
        return frozenset(first or ())


class LabelFormat(NamedTuple):
    """A format of label files: what it is called, and how it is recognised and read."""

    name: str
    title: str
    recognises: Callable[[LabelSource], bool]
    read: Callable[[LabelSource, Answers], Labels]


def _encoding(data: bytes) -> str:
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), 'utf-8')


def read_text(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file in UTF-8, or UTF-16 with a mark, or the encoding given.

    Raises:
        OpenQuestion: About ``encoding``, if it is neither.
        ValueError: If the text has another encoding than the one given, or a mixture.
    """
    data = bytes(read_whole_file(path))
    try:
        text = data.decode(encoding or _encoding(data))
    except LookupError as error:
        raise ValueError(f'encoding: {encoding!r} is none that Python knows') from error
    except UnicodeDecodeError as error:
        number = data.count(b'\n', 0, error.start) + 1
        line = data.split(b'\n')[number - 1].strip()
        where = f'{path}: line {number} is not {encoding or "UTF-8"}: {line[:80]!r}.'
        if encoding:
            raise ValueError(f'{where} Give the encoding that all lines have') from error
        others = [n for n, each in enumerate(data.split(b'\n'), 1) if _is_utf8_only(each)]
        if others:
            raise ValueError(
                f'{where} Line {others[0]} is UTF-8, so the file is a mixture of encodings: write '
                'it again, all in UTF-8'
            ) from error
        possible = {name: text for name in _ENCODINGS if (text := _decoded(data, line, name))}
        raise OpenQuestion(
            'encoding',
            f'{where} In which encoding is it? (Or convert it: iconv -t UTF-8.)',
            possible,
        ) from error
    if '\0' in text:
        raise ValueError(
            f'{path} has NUL characters, so it is no text in {encoding or "UTF-8"}: convert it '
            'with iconv -f UTF-16 -t UTF-8, or set `encoding`'
        )
    return text


def _is_utf8_only(line: bytes) -> bool:
    try:
        return not line.isascii() and bool(line.decode())
    except UnicodeDecodeError:
        return False


def _decoded(data: bytes, line: bytes, encoding: str) -> str:
    try:
        data.decode(encoding)
        return printable(line.decode(encoding)[:80])
    except UnicodeDecodeError:
        return ''


def decode_json(path: Path, kind: type[Content], expected: str) -> Content:
    """Return the content of a JSON file as a type that msgspec knows.

    Raises:
        ValueError: If it is not JSON, or not as expected; names the place.
    """
    try:
        return msgspec.json.decode(read_json_bytes(path), type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(f'{path}: {error}. Expected is {expected}') from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(
            f'{path} is not valid JSON: {error}. Get or write the file again'
        ) from error


def decode_json_lines(path: Path, kind: type[Content], expected: str) -> list[Content]:
    """Return the content of a file with one JSON object a line; errors as :func:`decode_json`."""
    decoder = msgspec.json.Decoder(kind)
    records = []
    # not splitlines(), which splits at characters that JSON strings may have
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if line.strip():
            try:
                records.append(decoder.decode(line))
            except (msgspec.DecodeError, RecursionError) as error:
                raise ValueError(
                    f'{path}: line {number}: {error}. Expected is {expected}'
                ) from error
    return records
