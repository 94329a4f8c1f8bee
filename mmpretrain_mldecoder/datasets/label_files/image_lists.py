"""Text lists without a header: an image and its labels on each line.

Sources: the lists of Hill and SPLC (xinyu1205/robust-loss-mlml), of CheXNet's reproductions, and of
PaddleClas (PaddlePaddle/PaddleClas, ppcls/data/dataloader/multilabel_dataset.py), and Corel-5k's.
Either all cells behind the first are labels, or the second one has all of them; or there is 1 or 0
for each class, or there are the numbers of classes, with names in a list of their own, such as
``label_list.txt``::

    a.jpg,cat,sofa     a.jpg<TAB>cat;sofa     a.jpg 1 0 0 1     a.jpg<TAB>1,0,0,1     1000 1 17

CelebA's list begins with the number of images and the names of the classes.

Deep hashing has the images in one file and their values in another: ``test_img.txt`` with
``a.jpg``, ``test_label.txt`` with ``1 0 0 1`` (jiangqy/Customized-DataLoader-pytorch, NUS-WIDE).
"""

import re
from contextlib import suppress
from itertools import chain

from ...fileio.terminal import counted
from .csv_table import cells, name_of_character
from .edits import Changes, edit_names, edit_rows
from .file_content import read_text
from .image_names import has_image_suffix
from .label_separator import joiner_of, split_cells
from .label_source import TABLES, LabelFormat, LabelSource
from .label_table import LabelRow, Labels, split_in_name
from .label_values import are_values, refuse_vectors, targets_of, texts_of

_VALUE = r'(-?[01]|NA|NaN)'
_VECTOR = re.compile(rf'\S+\.\w+(( +{_VALUE}){{2,}}| {_VALUE}(,{_VALUE})+)\s*')
_PADDLECLAS = re.compile(r'[^\t]+\t[01](,[01])+\s*')
_NUMBERS = re.compile(r'\S+(\s+\d+)*\s*')
_VALUES = re.compile(rf'\s*{_VALUE}([\s,]+{_VALUE})+\s*')
_COORDINATE = re.compile(r'-?\d*\.?\d+')
_SAMPLE = 20  # lines
_DELIMITERS = ('\t', ',', ';', '|')


def _recognises(source: LabelSource) -> bool:
    """Whether the first lines begin with an image, or a list beside it has the images."""
    return bool(_delimiter(source) or _images_beside(source))


def _read(source: LabelSource) -> Labels:
    delimiter = _delimiter(source)
    beside = [] if delimiter else _images_beside(source)
    if not delimiter and not beside:
        raise ValueError(
            f'{source.path} is no list of images with labels: each line has to begin with the '
            'name of an image, with its suffix and a comma, tab, ; or | behind it, or a blank '
            'before values or several numbers of classes; or lines of 1 and 0 belong to those of '
            'one list of images beside it'
        )
    text, names = source.text(), _names(source)
    if beside:
        values = (line.replace(',', ' ').split() for line in _filled_lines(text))
        rows = [[name, *of_row] for name, of_row in zip(beside, values, strict=True)]
    elif delimiter == ' ':  # several may follow one another
        rows = [line.split() for line in _filled_lines(text)[2 if names else 0 :]]
    else:
        rows = list(cells(text, delimiter, source.path))
    images = [row[0].strip() for row in rows]
    others = [[cell.strip() for cell in row[1:]] for row in rows]
    notes: list[str] = []
    if max(map(len, others)) <= 1:
        others = split_cells([row[0] if row else '' for row in others], source)
    else:
        notes = [f'labels are separated by a {name_of_character(delimiter)}, as the columns are']
        boxes = [[*map(bool, map(_COORDINATE.fullmatch, row))] for row in others if any(row)]
        for place in (0, 4):  # a box in front of a name, as keras-retinanet has it, or behind it
            if all(are_numbers == [i != place for i in range(5)] for are_numbers in boxes):
                others = [row[place : place + 1] for row in others]
                notes = [f'labels are made of {counted(len(boxes), "box")}']
    number = len(others[0])
    if max(map(len, others)) == 1 or not are_values(chain.from_iterable(others)):
        refuse_vectors(others, source)
        of_rows = [dict.fromkeys(filter(None, row), 1) for row in others]
        labelled = [LabelRow(*row) for row in zip(images, of_rows, strict=True)]
        return Labels(labelled, (), notes, are_numbers=delimiter == ' ')
    for place, row in enumerate(others, 1):
        if len(row) != number:
            raise ValueError(
                f'{source.path}: row {place} has {len(row)} values, and the first row has '
                f'{number}: each needs one of every class'
            )
    classes = names or [str(i) for i in range(number)]
    targets = targets_of(chain.from_iterable(others), source)
    of_rows = [dict(zip(classes, map(targets.__getitem__, row), strict=True)) for row in others]
    labelled = [LabelRow(*row) for row in zip(images, of_rows, strict=True)]
    return Labels(labelled, classes, are_numbers=not names)


def _edit(source: LabelSource, changes: Changes) -> str | None:
    if not _delimiter(source) or _names(source):  # the images, or the names, are elsewhere
        return None
    has_values = bool(_read(source).classes)
    text, delimiter = source.text(), _delimiter(source)
    others = [[*map(str.strip, row[1:])] for row in cells(text, delimiter)]
    in_one = max(map(len, others)) <= 1
    if in_one:
        of_rows = [row[0] if row else '' for row in others]
        others, join = split_cells(of_rows, source), joiner_of(of_rows, source)
    if has_values:
        text_of = texts_of(filter(None, chain.from_iterable(others)), source)

    def edit(number: int, row: list[str]) -> list[str]:
        if not (of_image := changes(row[0].strip())):
            return row
        of_row = list(others[number])
        if has_values:
            for name, value in of_image.items():
                of_row[int(name)] = text_of[value]
        else:
            names = [name for name in of_row if name]
            of_row = edit_names(names, of_image, source.answers.no_label)
        return [row[0], join(of_row)] if in_one else [row[0], *of_row]

    return edit_rows(text, delimiter, edit)


def _delimiter(source: LabelSource) -> str:
    """Return the first delimiter that leaves an image in front of it on all lines, or ''."""
    lines = source.lines[2 if _names(source) else 0 :]
    if not lines:
        return ''
    if all(map(_VECTOR.fullmatch, lines)):
        return ' '
    if all(map(_PADDLECLAS.fullmatch, lines)):
        return '\t'
    for delimiter in _DELIMITERS:
        first = [line.partition(delimiter)[0].strip('" ') for line in lines]
        if any(delimiter in line for line in lines) and all(map(has_image_suffix, first)):
            return delimiter
    words = [line.split() for line in lines]
    names = {first for first, *_ in words[:_SAMPLE]}  # different, unless they are values or classes
    if (
        max(map(len, words)) > 2
        and len(names) * 2 > len(words[:_SAMPLE])
        and all(map(_NUMBERS.fullmatch, lines))
    ):
        paths = [source.images.find(name, source.folder)[0] for name in names]
        return ' ' if paths.count(None) * 2 <= len(paths) else ''
    return ''


def _names(source: LabelSource) -> list[str]:
    """Return the names of the classes in the second line of CelebA's list; [] of others."""
    first, second, third, *_ = [*source.lines[:3], '', '', '']
    is_header = first.strip().isdecimal() and _VECTOR.fullmatch(third)
    return second.split() if is_header and len(second.split()) + 1 == len(third.split()) else []


def _images_beside(source: LabelSource) -> list[str]:
    """Return the images of a file of values: of the one list beside it with as many lines.

    Of the same split by its name; nothing if there is no such list, or several.
    """
    if not source.lines or not all(map(_VALUES.fullmatch, source.lines)):
        return []
    number = len(_filled_lines(source.text()))
    found = []
    for path in sorted(source.path.parent.glob('*.txt')):
        if split_in_name(path.name)[0] == split_in_name(source.path.name)[0]:
            with suppress(ValueError):  # another encoding: not about this file
                names = _filled_lines(read_text(path, source.answers.encoding))
                if len(names) == number and all(map(has_image_suffix, names)):
                    found.append(names)
    return found[0] if len(found) == 1 else []


def _filled_lines(text: str) -> list[str]:
    return [*filter(None, map(str.strip, text.splitlines()))]


FORMAT = LabelFormat('lists', 'lists of images with labels', TABLES, _recognises, _read, _edit)
