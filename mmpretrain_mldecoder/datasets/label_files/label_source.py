"""A file or folder that may hold labels, and what a format of label files is."""

import os
import os.path as osp
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...fileio.files import stand_in
from ...fileio.json_files import decode_nan_as_null, read_json_bytes
from ...fileio.terminal import one_line, printable
from .answers import Answers
from .edits import Changes
from .file_content import encoding_of, read_text, read_xml
from .image_names import ImageNames
from .label_table import Labels

FOLDER = '/'  # the suffix of a folder
JSON_LINES = ('.jsonl', '.ndjson')
TABLES = ('.csv', '.tsv', '.txt')
SPREADSHEETS = ('.xlsx', '.xls', '.ods')
_HEAD = 2**16  # bytes that a format is recognised by
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class LabelSource:
    """A file or folder that may hold labels of images; answers say what is known about it.

    Its ``suffix`` is in lower case, ``.txt`` if there is none, and ``FOLDER`` of a folder.
    """

    def __init__(self, path: Path, images: ImageNames, answers: Answers):
        self.path, self.images, self.answers = path, images, answers
        self.suffix = FOLDER if path.is_dir() else path.suffix.lower() or '.txt'

    @cached_property
    def folder(self) -> str:
        """The folder that holds it, relative to the data, with slashes; '' for the data."""
        own = self.path if self.suffix == FOLDER else self.path.parent
        folder = osp.relpath(own, self.images.data)
        return '' if folder == osp.curdir else folder.replace(osp.sep, '/')

    def names(self, suffix: str) -> list[str]:
        """Return the sorted names of a folder's files with a suffix; nothing of a file."""
        names = os.listdir(self.path) if self.suffix == FOLDER else []
        return sorted(name for name in names if name.lower().endswith(suffix))

    def text(self) -> str:
        """Return the whole text, see :func:`read_text`."""
        return read_text(self.path, self.answers.encoding)

    @cached_property
    def head(self) -> str:
        """The text with which a file begins, what is not Unicode replaced; '' of a folder."""
        if not self.path.is_file():
            return ''
        with self.path.open('rb') as file:
            data = file.read(_HEAD)
        return data.decode(encoding_of(data), errors='replace').lstrip('\ufeff')

    @cached_property
    def lines(self) -> list[str]:
        """The complete lines of the head that are not blank."""
        lines = self.head.splitlines()
        cut = len(self.head) >= _HEAD // 4 and len(lines) > 1
        return [line for line in (lines[:-1] if cut else lines) if line.strip()]

    @cached_property
    def json(self) -> Any:
        """The top level of a JSON file, or of the first of JSON lines; None of other files.

        An object whose values are not decoded (``msgspec.Raw``), or a list with the first object.
        """
        return None if isinstance(self._json, Exception) else self._json

    @cached_property
    def _json(self) -> Any:
        def first(data: bytes | memoryview) -> Any:
            if is_object:
                return _OBJECT.decode(data)
            return [*map(_OBJECT.decode, msgspec.json.decode(data, type=list[msgspec.Raw])[:1])]

        is_object = not self.head.lstrip().startswith('[')
        try:
            if self.suffix in JSON_LINES:
                return decode_nan_as_null(''.join(self.lines[:1]).encode(), first)
            return decode_nan_as_null(read_json_bytes(self.path), first)
        except (ValueError, RecursionError) as error:
            return error

    @cached_property
    def problem(self) -> str:
        """Why the content of a file cannot be decoded; '' if it can."""
        if self.suffix in SPREADSHEETS:
            return printable(f'{self.path} is a spreadsheet, which is not read: export it as CSV')
        try:
            if not self.head.strip():
                raise ValueError('it is empty: remove it, or copy it again')
            with self.path.open('rb') as file:
                if found := stand_in(file.read(32)):
                    raise ValueError(found)
            if self.lines and self.lines[0].lower().startswith('sep='):
                raise ValueError(f'its first line, {self.lines[0]}, is for Excel only: remove it')
            if self.suffix == '.xml':
                read_xml(self.path)
            elif self.suffix not in ('.json', *JSON_LINES):
                self.text()
            elif isinstance(self._json, Exception):
                raise self._json
        except (ValueError, RecursionError) as error:
            known = str(self.path) in str(error)
            return printable(one_line(error) if known else f'{self.path}: {one_line(error)}')
        return ''

    @property
    def keys(self) -> frozenset[str]:
        """The keys of a JSON object, or of the first one of a list or of JSON lines."""
        first = self.json[0] if isinstance(self.json, list) and self.json else self.json
        return frozenset(first or ())


class LabelFormat(NamedTuple):
    """A format of label files: what it is called, and how it is recognised, read, edited."""

    name: str
    title: str
    suffixes: tuple[str, ...]
    recognises: Callable[[LabelSource], bool]  # asked about files with these suffixes only
    read: Callable[[LabelSource], Labels]
    # The text with labels changed; None where a file has other things than labels of images.
    edit: Callable[[LabelSource, Changes], str | None] | None = None
