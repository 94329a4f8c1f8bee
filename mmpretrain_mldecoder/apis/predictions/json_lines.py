"""Files of one JSON object a line, which outlive a kill while they are written."""

import json
from collections.abc import Iterator
from pathlib import Path


def json_line(record: dict) -> bytes:
    """Return a record as one line of UTF-8.

    Names that are no UTF-8, as file names may be, are escaped as Python spells them.
    """
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b'\n'
    except UnicodeEncodeError:
        return json.dumps(record).encode() + b'\n'


def read_json_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """Yield where each record begins, in bytes, and the record; nothing if there is no file.

    A line that is not whole, as a killed process leaves it at the end, is left out, and so is one
    that holds anything but an object.
    """
    if not path.is_file():
        return
    offset = 0
    with path.open('rb') as file:
        for line in file:
            if line.endswith(b'\n'):
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    record = None  # bytes of a crash; what they stood for is made again
                if isinstance(record, dict):
                    yield offset, record
            offset += len(line)


class JsonLinesAppender:
    """Append records to a file, each handed to the system at once.

    Args:
        path (Path): The file; its folder is made. What a killed process left of a last line is
            cut off.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open('a+b', buffering=0)
        self._file.truncate(_whole_lines(path))

    def add(self, record: dict) -> None:
        """Append one record; a kill from now on does not lose it."""
        line = memoryview(json_line(record))
        while line:
            line = line[self._file.write(line) :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _whole_lines(path: Path) -> int:
    """Return how many bytes the whole lines of a file take."""
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
