"""Text lists without a header: an image and its labels on each line.

Sources: the lists of Hill and SPLC (xinyu1205/robust-loss-mlml) and of CheXNet's reproductions.
Either all cells behind the first are labels, or the second one has all of them, or there is a 1 or
0 for each class, where blanks may be between them, too::

    a.jpg,cat,sofa                   a.jpg<TAB>cat;sofa                   a.jpg,1,0,0,1
"""

import re
from collections import Counter

from .answers import Answers
from .csv_table import cells, name_of_character
from .image_names import has_image_suffix
from .label_separator import split_cells
from .label_source import LabelFormat, LabelSource, read_text
from .label_table import LabelRow, Labels
from .label_values import are_values, targets_of

_VECTOR = re.compile(r'\ufeff?\S+\.\w+( -?[01]){2,}\s*')
_DELIMITERS = ('\t', ',', ';', '|')


def recognises(source: LabelSource) -> bool:
    """Whether the first lines begin with an image and go on behind a delimiter."""
    if source.path.suffix.lower() not in ('.txt', '.csv', '.tsv') or not source.lines:
        return False
    return bool(_delimiter(source.lines))


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    delimiter = _delimiter(source.lines)
    if not delimiter:
        raise ValueError(
            f'{source.path} is no list of images with labels: each line has to begin with the '
            'name of an image, with its suffix'
        )
    text = read_text(source.path, answers.encoding).lstrip('\ufeff')
    if delimiter == ' ':  # several may follow one another
        rows = [line.split() for line in text.splitlines() if line.strip()]
    else:
        rows = list(cells(text, delimiter))
    images = [row[0].strip() for row in rows]
    others = [[cell.strip() for cell in row[1:]] for row in rows]
    widths = set(map(len, others))
    values = [cell for row in others for cell in row]
    classes: list[str] = []
    notes: list[str] = []
    if len(widths) == 1 and widths != {1} and are_values(values):
        classes = [str(i) for i in range(max(widths))]
        targets = targets_of(Counter(values), source.path, answers)
        of_rows = [dict(zip(classes, map(targets.__getitem__, row), strict=True)) for row in others]
    elif widths <= {0, 1}:
        lists = split_cells([row[0] if row else '' for row in others], source.path, answers)
        of_rows = [dict.fromkeys(labels, 1) for labels in lists]
    else:
        of_rows = [dict.fromkeys(filter(None, row), 1) for row in others]
        notes = [f'labels are separated by a {name_of_character(delimiter)}, as the columns are']
    labelled = [LabelRow(*row) for row in zip(images, of_rows, strict=True)]
    return Labels(labelled, classes, notes, are_numbers=bool(classes))


def _delimiter(lines: list[str]) -> str:
    """Return the first delimiter that leaves an image in front of it on all lines, or ''."""
    if all(map(_VECTOR.fullmatch, lines)):
        return ' '
    for delimiter in _DELIMITERS:
        first = [line.partition(delimiter)[0].strip('\ufeff" ') for line in lines]
        if any(delimiter in line for line in lines) and all(map(has_image_suffix, first)):
            return delimiter
    return ''


FORMAT = LabelFormat('lists', 'lists of images with labels', recognises, read)
