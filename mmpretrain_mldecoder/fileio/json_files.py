"""JSON files and JSON lines."""

import codecs
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from .files import STAND_INS, read_whole_file

# First bytes of files that are not plain UTF-8: what they are, and the fix.
_OTHER_FORMATS = {
    **STAND_INS,
    b'PK\x03\x04': ('a zip archive', 'unpack it with unzip'),
    b'\xff\xfe': ('UTF-16', 'convert it with iconv -f UTF-16 -t UTF-8'),
    b'\xfe\xff': ('UTF-16', 'convert it with iconv -f UTF-16 -t UTF-8'),
    b'{\x00': ('UTF-16', 'convert it with iconv -f UTF-16LE -t UTF-8'),
    b'<': ('a web page or XML', 'the server sent it in place of the file; download it again'),
}
_UTF8_MARK = b'\xef\xbb\xbf'
T = TypeVar('T')
_END_BYTES = 1000  # checked of either end
_NOT_A_NUMBER = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")|-?\bInfinity\b|\bNaN\b', re.DOTALL)
_CHUNK_BYTES = 2**18  # fits a processor's cache, in which decoding is five times faster


def read_json_bytes(path: str | Path) -> bytes | memoryview:
    """Return the UTF-8 text of a JSON object in a file, validated except for its syntax.

    Byte positions are those of the file: a byte order mark becomes blanks. ``path`` may be a pipe.

    Raises ``ValueError`` if it is empty, compressed, not UTF-8, or truncated, which is seen before
    it is read. (Of compressed files, a small one could fill the memory.)
    """
    if os.path.isfile(path):  # a pipe can be read only once
        with open(path, 'rb') as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(_END_BYTES)
            file.seek(max(0, size - _END_BYTES))
            _check_ends(path, head, file.read(), size)
    data = read_whole_file(path)
    _check_ends(path, bytes(data[:_END_BYTES]), bytes(data[-_END_BYTES:]), len(data))
    if data[:3] == _UTF8_MARK:
        data = b'   ' + data[3:]
    if not bytes(data[:_END_BYTES]).strip() and not bytes(data).strip():
        raise ValueError(f'{path} is empty: copy or download it again.')
    _check_utf8(path, data)
    return data


def _check_ends(path: str | Path, head: bytes, tail: bytes, size: int) -> None:
    for start, (what, fix) in _OTHER_FORMATS.items():
        if head.lstrip().startswith(start):
            raise ValueError(f'{path} is {what}, not JSON: {fix}.')
    begins_as_object = head.removeprefix(_UTF8_MARK).lstrip().startswith(b'{')
    if begins_as_object and tail.strip() and not tail.rstrip().endswith(b'}'):
        raise ValueError(
            f'{path} ({size} bytes) is not valid JSON: it does not end in "}}" but in '
            f'{tail[-20:]!r}. An incomplete download is the usual cause: get the file again.'
        )


def _check_utf8(path: str | Path, data: bytes | memoryview) -> None:
    # The parser validates only the strings that it returns.
    decoder = codecs.getincrementaldecoder('utf-8')()
    view = memoryview(data)
    for start in range(0, len(view), _CHUNK_BYTES):
        kept = len(decoder.getstate()[0])  # bytes of a character that is not complete
        end = start + _CHUNK_BYTES
        try:
            decoder.decode(view[start:end], final=end >= len(view))
        except UnicodeDecodeError as error:
            raise ValueError(
                f'{path} is not UTF-8: {error.reason} (byte {start - kept + error.start}). Write '
                "it with encoding='utf-8', or convert it with iconv -t UTF-8."
            ) from error


def nan_as_null(data: bytes | memoryview) -> bytes:
    """Return JSON text with null for ``NaN`` and ``Infinity``, which Python writes."""
    return _NOT_A_NUMBER.sub(lambda found: found[1] or b'null', data)


def decode_nan_as_null(data: bytes | memoryview, decode: Callable[[bytes | memoryview], T]) -> T:
    """Decode JSON text with msgspec; ``NaN`` and ``Infinity`` count as null."""
    try:
        return decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return decode(nan_as_null(data))


def place_of_nesting(data: bytes | memoryview, levels: int) -> int | None:
    """Return the byte at which JSON text is nested more than ``levels`` deep, or None."""
    depth = 0
    for token in re.finditer(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', data, re.DOTALL):
        if token[0] in (b'[', b'{'):
            depth += 1
            if depth > levels:
                return token.start()
        elif token[0] in (b']', b'}'):
            depth -= 1
    return None


def json_line(record: dict) -> bytes:
    """Return a record as one line of UTF-8; file names that are not UTF-8 are escaped."""
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b'\n'
    except UnicodeEncodeError:
        return json.dumps(record).encode() + b'\n'


def read_json_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """Yield the byte at which each record begins, and the record; nothing if there is no file.

    An incomplete last line, as a killed process leaves it, and all that is no object are skipped.
    """
    if not path.is_file():
        return
    offset = 0
    with path.open('rb') as file:
        for line in file:
            record = None
            with suppress(ValueError, RecursionError):  # bytes of a crash
                record = json.loads(line)
            if isinstance(record, dict) and line.endswith(b'\n'):
                yield offset, record
            offset += len(line)


class JsonLinesAppender:
    """Append records to a file without buffering.

    Args:
        path (Path): The file; its folder is created, an incomplete last line removed.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open('a+b', buffering=0)
        self._file.truncate(_size_of_lines(path))

    def add(self, record: dict) -> None:
        """Append one record; a kill from now on does not lose it."""
        line = memoryview(json_line(record))
        while line:
            line = line[self._file.write(line) :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _size_of_lines(path: Path) -> int:
    """Return the number of bytes of the complete lines of a file."""
    with path.open('rb') as file:
        end = file.seek(0, 2)
        while end:
            start = max(end - 2**16, 0)
            file.seek(start)
            newline = file.read(end - start).rfind(b'\n')
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0
