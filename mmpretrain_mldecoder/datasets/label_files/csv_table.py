"""CSV files as a header and rows, and which of their columns are what."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...errors import OpenQuestion
from ...fileio.near_names import near_names
from ...fileio.terminal import printable
from .answers import Answers
from .image_names import has_image_suffix
from .label_source import LabelSource, read_text
from .label_table import split_of_word
from .label_values import are_values

# Names for characters that are hard to type in a shell.
CHARACTERS = {'blank': ' ', 'comma': ',', 'semicolon': ';', 'pipe': '|', 'tab': '\t'}
_DELIMITERS = (',', ';', '\t', '|')
_SAMPLE = 200  # rows
_SPLIT_COLUMNS = ('split', 'subset', 'set', 'partition', 'ml_use', 'usage')
_IS_VALID = 'is_valid'  # fastai's: whether an image is of the validation set
_TRUE, _FALSE = ('true', '1'), ('false', '0', '')


@dataclass(frozen=True)
class CsvTable:
    """A CSV file with a header and R rows below it."""

    path: Path
    header: list[str]  # stripped names
    columns: list[tuple[str, ...]]  # R cells each

    def column(self, name: str) -> tuple[str, ...]:
        """Return the cells of a column.

        Raises:
            ValueError: If there is no such column.
        """
        if name not in self.header:
            raise ValueError(
                f'{self.path} has no column {name!r}{near_names(name, self.header)}. Its columns '
                f'are: {", ".join(map(printable, self.header))}'
            )
        return self.columns[self.header.index(name)]


def name_of_character(character: str) -> str:
    """Return ``'blank'`` for a blank, and so on; the character itself if it has no name."""
    return next((name for name, each in CHARACTERS.items() if each == character), character)


def cells(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows of CSV text that are not blank; quoted cells may have newlines."""
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error as error:
        raise ValueError(
            f'line {reader.line_num} cannot be read: {error}. A quote that is not closed is the '
            'usual cause'
        ) from error


def possible_delimiters(text: str) -> list[str]:
    """Return the delimiters for which the first rows have equally many cells, two or more."""
    sample = text[: 2**16]
    possible = []
    for delimiter in _DELIMITERS:
        try:
            rows = list(islice(cells(sample, delimiter), _SAMPLE))
        except ValueError:
            continue
        rows = rows[:-1] if len(sample) < len(text) and len(rows) < _SAMPLE else rows
        widths = {*map(len, rows)}
        if len(widths) == 1 and widths != {1}:
            possible.append(delimiter)
    return possible


def read_csv(path: Path, answers: Answers, delimiter: str | None = None) -> CsvTable:
    """Read a CSV file with a header.

    Raises:
        OpenQuestion: About ``delimiter`` or ``encoding``.
        ValueError: If rows have more or fewer cells than the header, or columns share a name.
    """
    text = read_text(path, answers.encoding).lstrip('\ufeff')
    if delimiter is None:
        delimiter = _delimiter(path, text, answers)
    try:
        header, *rows = cells(text, delimiter)
    except ValueError as error:
        raise ValueError(f'{path}: {error}' if text.strip() else f'{path} is empty') from error
    header = [name.strip() for name in header]
    if len(header) > 1 and not header[-1]:  # a delimiter ends each line
        header = header[:-1]
        rows = [row if row[-1].strip() else row[:-1] for row in rows]
    ragged = [i for i, row in enumerate(rows) if len(row) != len(header)]
    if ragged:
        row = rows[ragged[0]]
        raise ValueError(
            f'{path}: {len(ragged):,} of {len(rows):,} rows do not have the {len(header)} cells of '
            f'the header; the first, row {ragged[0] + 2}, has {len(row)}: '
            f'{printable(name_of_character(delimiter))}-separated {[printable(c) for c in row[:6]]}'
            f'. Quote cells that have a {name_of_character(delimiter)} in them ("a, b")'
        )
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise ValueError(
            f'{path}: several columns have the name {min(repeated)!r}: give each its own'
        )
    return CsvTable(path, header, [*zip(*rows, strict=True)] or [()] * len(header))


def _delimiter(path: Path, text: str, answers: Answers) -> str:
    if answers.delimiter is not None:
        return CHARACTERS.get(answers.delimiter, answers.delimiter)
    possible = possible_delimiters(text)
    if len(possible) > 1:
        choices = {}
        for delimiter in possible:
            header = next(cells(text, delimiter))
            choices[name_of_character(delimiter)] = f'columns {", ".join(header[:5])}'
        raise OpenQuestion('delimiter', f'{path}: what separates the columns?', choices)
    if not possible:  # the rows say what is wrong
        first = next(iter(text.splitlines()), '')
        possible = sorted(_DELIMITERS, key=first.count, reverse=True)
    return possible[0]


def image_column(table: CsvTable, source: LabelSource, answers: Answers) -> str:
    """Return the column with the images: the one whose cells are names of images.

    Of a column without suffixes at least half of the first names have to be found.

    Raises:
        OpenQuestion: If none is, or several are.
    """
    if answers.image_column is not None:
        table.column(answers.image_column)
        return answers.image_column
    possible = {}
    for name in table.header:
        sample = list(dict.fromkeys(filter(None, table.column(name)[:_SAMPLE])))
        if are_values(sample):  # 1 and 0, which could be 1.jpg and 0.jpg
            continue
        has_suffix = all(map(has_image_suffix, sample))
        found = sum(source.images.find(cell, source.folder)[0] is not None for cell in sample)
        if sample and (has_suffix or found * 2 >= len(sample)):
            possible[name] = has_suffix
    clear = [name for name, has_suffix in possible.items() if has_suffix] or list(possible)
    if len(clear) == 1:
        return clear[0]
    examples = {
        name: f'such as {printable(next(iter(table.column(name)), "")[:60])}'
        for name in clear or table.header
    }
    why = 'several columns name' if possible else 'no column names'
    raise OpenQuestion(
        'image_column',
        f'{table.path}: {why} images below {source.images.data}. Which column has the images?',
        examples,
    )


def split_column(table: CsvTable) -> tuple[str, list[str]]:
    """Return the name of the column with the splits and the split of each row; '' without one."""
    for name in table.header:
        if name.lower() not in (_IS_VALID, *_SPLIT_COLUMNS):
            continue
        values = [cell.strip().lower() for cell in table.column(name)]
        if name.lower() == _IS_VALID and set(values) <= {*_TRUE, *_FALSE}:
            return name, ['val' if value in _TRUE else 'train' for value in values]
        splits = [split_of_word(value) for value in values]
        if all(splits):
            return name, splits
    return '', [''] * len(table.columns[0])


def group_column(table: CsvTable, answers: Answers) -> Sequence[str]:
    """Return the group of each row, '' without one."""
    if answers.group_column is None:
        return [''] * len(table.columns[0])
    return [cell.strip() for cell in table.column(answers.group_column)]
