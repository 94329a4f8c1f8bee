"""CSV files as columns with names."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ...errors import OpenQuestion
from ...fileio.near_names import near_names
from ...fileio.terminal import printable
from .image_names import has_image_suffix
from .label_source import LabelSource

# Names for characters that are hard to type in a shell.
CHARACTERS = {'blank': ' ', 'comma': ',', 'semicolon': ';', 'pipe': '|', 'tab': '\t'}
DELIMITERS = (',', ';', '\t', '|')
_SAMPLE = 200  # rows


class CsvTable(NamedTuple):
    """A table whose columns have names."""

    source: LabelSource
    columns: Mapping[str, Sequence[str]]  # equally many cells, by stripped names
    delimiter: str = ','

    def column(self, name: str) -> Sequence[str]:
        """Return the cells of a column.

        Raises:
            ValueError: If there is no such column.
        """
        if name not in self.columns:
            raise ValueError(
                f'{self.source.path} has no column {name!r}{near_names(name, self.columns)}. Its '
                f'columns are: {", ".join(map(printable, self.columns))}'
            )
        return self.columns[name]


def name_of_character(character: str) -> str:
    """Return ``'blank'`` for a blank, and so on; the character itself if it has no name."""
    return next((name for name, each in CHARACTERS.items() if each == character), character)


def cells(text: str, delimiter: str, path: Path | None = None) -> Iterator[list[str]]:
    """Yield the rows of CSV text that are not blank; quoted cells may have newlines.

    Raises:
        ValueError: If a quote is not closed, so that a cell has rows of other images.
    """
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            inside = ''.join(cell.partition('\n')[2] for cell in row).split('\n')
            if any(has_image_suffix(line.partition(delimiter)[0]) for line in inside):
                raise csv.Error('a cell has the rows of other images in it')
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error as error:
        raise ValueError(
            f'{path}: line {reader.line_num} cannot be read: {error}. A quote that is not closed '
            'is the usual cause'
        ) from error


def possible_delimiters(text: str) -> list[str]:
    """Return the delimiters for which the first rows have equally many cells, two or more."""
    sample = text[: 2**16]
    possible = []
    for delimiter in DELIMITERS:
        try:
            rows = list(islice(cells(sample, delimiter), _SAMPLE))
        except ValueError:
            continue
        # the last one may be cut, also by a head of the file, with up to 4 bytes a character
        rows = rows[:-1] if len(sample) >= 2**14 and len(rows) < _SAMPLE else rows
        widths = {*map(len, rows)}
        if len(widths) == 1 and widths != {1}:
            possible.append(delimiter)
    return possible


def read_csv(source: LabelSource, delimiter: str | None = None) -> CsvTable:
    """Read a CSV file with a header.

    Raises:
        OpenQuestion: About ``delimiter`` or ``encoding``.
        ValueError: If rows have more or fewer cells than the header, or columns share a name.
    """
    path, text = source.path, source.text()
    delimiter = delimiter or _delimiter(source, text)
    if not text.strip():
        raise ValueError(f'{path} is empty')
    header, *rows = cells(text, delimiter, path)
    header = [name.strip() for name in header]
    width = max((place for place, name in enumerate(header, 1) if name), default=1)
    header = header[:width]  # delimiters end each line, as many as Excel has had columns
    rows = [row if any(map(str.strip, row[width:])) else row[:width] for row in rows]
    ragged = [i for i, row in enumerate(rows) if len(row) != len(header)]
    if ragged:
        row, sign = rows[ragged[0]], name_of_character(delimiter)
        raise ValueError(
            f'{path}: {len(ragged):,} of {len(rows):,} rows do not have the {len(header)} cells of '
            f'the header; the first, row {ragged[0] + 2}, has {len(row)}: {printable(sign)}-'
            f'separated {[*map(printable, row[:6])]}. Quote cells that have a {sign} in them '
            '("a, b")'
        )
    if repeated := {name for name in header if header.count(name) > 1}:
        raise ValueError(
            f'{path}: several columns have the name {min(repeated)!r}: give each its own'
        )
    columns = [*zip(*rows, strict=True)] or [()] * len(header)
    return CsvTable(source, dict(zip(header, columns, strict=True)), delimiter)


def _delimiter(source: LabelSource, text: str) -> str:
    if given := source.answers.delimiter:
        if len(CHARACTERS.get(given, given)) != 1:
            names = ', '.join(CHARACTERS)
            raise ValueError(f'delimiter must be one character, or one of {names}; got {given!r}')
        return CHARACTERS.get(given, given)
    possible = possible_delimiters(text)
    if len(possible) > 1:
        headers = {each: next(cells(text, each)) for each in possible}
        raise OpenQuestion(
            'delimiter',
            f'{source.path}: what separates the columns?',
            {name_of_character(k): f'columns {", ".join(h[:5])}' for k, h in headers.items()},
        )
    first = text.partition('\n')[0]  # without a possible one, the rows say what is wrong
    return possible[0] if possible else max(DELIMITERS, key=first.count)
