"""Lists of labels in one cell: what separates them."""

import ast
import json
from collections import Counter
from collections.abc import Callable, Sequence

from ...errors import OpenQuestion
from ...fileio.terminal import counted, printable
from .csv_table import CHARACTERS, name_of_character
from .label_source import LabelSource

_SEPARATORS = ('|', ';', ',', '\t', '\n')
_CHINESE = str.maketrans('，、；', ',,;')  # as commas and semicolons are, also beside them
_RARE = ('+', '/', ':', '&')  # also parts of names
_NONE = 'none'


def split_cells(cells: Sequence[str], source: LabelSource) -> list[list[str]]:
    """Return the labels of each cell; an empty cell has none.

    A cell is a list as Python and JSON write it (``['cat', 'hot dog']``), or text with one of
    ``|``, ``;`` and ``,``, also as Chinese has them, a tab or a newline between labels. Blanks
    separate numbers; between words they may belong to the names.

    Raises:
        OpenQuestion: About ``separator``, if several of them occur, or blanks only, or labels recur
            between ``+``, ``/``, ``:`` or ``&``.
        ValueError: If a cell that begins as a list is none.
    """
    cells = [cell.strip() for cell in cells]
    separator = _separator_of(cells, source)
    if separator is None:
        return [_parsed(cell, source) if cell else [] for cell in cells]
    return [_split(cell, separator) for cell in cells]


def joiner_of(cells: Sequence[str], source: LabelSource) -> Callable[[list[str]], str]:
    """Return what writes labels as the cells have them, see :func:`split_cells`."""
    separator = _separator_of([cell.strip() for cell in cells], source)
    if separator is None:
        return json.dumps if any('"' in cell for cell in cells) else str
    has_blanks = separator.strip() and any(f'{separator} ' in cell for cell in cells)
    return f'{separator} '.join if has_blanks else (separator or '|').join


def _separator_of(cells: Sequence[str], source: LabelSource) -> str | None:
    """Return what separates labels, '' if nothing does, None if cells are lists in brackets."""
    filled = [cell for cell in cells if cell]
    if (given := source.answers.separator) is not None:
        return '' if given == _NONE else CHARACTERS.get(given, given)
    if filled and all(cell[0] + cell[-1] in ('[]', '()', '{}') for cell in filled):
        return None
    return _separator(filled, source)


def _parsed(cell: str, source: LabelSource) -> list[str]:
    for parse in (json.loads, ast.literal_eval):
        try:
            labels = parse(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(labels, (list, tuple, set)) and all(
            isinstance(label, (str, int)) for label in labels
        ):
            return [text for label in labels if (text := str(label).strip())]
    bare = cell[1:-1]  # [cat, hot dog], as some write it without quotes
    if not any(character in bare for character in '"\'[](){}'):
        return _split(bare, ',')
    raise ValueError(
        f'{source.path}: {printable(cell[:80])} begins as a list of labels and is none'
    )


def _separator(cells: Sequence[str], source: LabelSource) -> str:
    """Return what separates the labels of cells that are not empty; '' if nothing does."""
    translated = [cell.translate(_CHINESE) for cell in cells]
    counts = {sign: sum(sign in cell for cell in translated) for sign in _SEPARATORS}
    possible = [sign for sign, count in counts.items() if count]
    if len(possible) == 1:
        return possible[0]
    if not possible:
        words = [cell.split() for cell in cells]
        if all(word.isdecimal() for of_cell in words for word in of_cell):
            return ' ' if any(len(of_cell) > 1 for of_cell in words) else ''
        # labels that recur in other cells: fewer than cells that differ
        counts = {' ': sum(len(of_cell) > 1 for of_cell in words)}
        signs = [sign for sign in _RARE if _number(cells, sign) < _number(cells, '')]
        counts |= {sign: sum(sign in cell for cell in cells) for sign in signs}
        possible = [sign for sign, count in counts.items() if count]
        if not possible:
            return ''
    example = max(cells[:1000], key=lambda cell: sum(sign in cell for sign in possible))
    found = ', '.join(f'{counts[sign]:,} a {name_of_character(sign)!r}' for sign in possible)
    raise OpenQuestion(
        'separator',
        f'{source.path}: of {counted(len(cells), "cell")} with labels {found}, such as '
        f'"{printable(example[:80])}". What separates the labels of an image?',
        {name_of_character(sign) or _NONE: _outcome(cells, sign) for sign in (*possible, '')},
    )


def _number(cells: Sequence[str], separator: str) -> int:
    return len({label for cell in {*cells} for label in _split(cell, separator)})


def _outcome(cells: Sequence[str], separator: str) -> str:
    labels = Counter(label for cell in cells for label in _split(cell, separator))
    often = ', '.join(printable(name[:30]) for name, _ in labels.most_common(3))
    return f'{counted(len(labels), "class")}, such as {often}'


def _split(cell: str, separator: str) -> list[str]:
    if separator == ' ':
        return cell.split()
    cell = cell.translate(_CHINESE) if separator in (',', ';') else cell
    parts = cell.split(separator) if separator else [cell]
    return [part for text in parts if (part := text.strip())]
