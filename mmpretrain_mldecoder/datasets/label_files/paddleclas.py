"""PaddleClas' multi-label lists: a path, a tab, and 0 or 1 for each class.

Source: PaddlePaddle/PaddleClas, ppcls/data/dataloader/multilabel_dataset.py. There is no header;
the names are in a list of their own, such as ``label_list.txt``::

    a/001.jpg<TAB>1,0,0,1
"""

import re

from .answers import Answers
from .label_source import LabelFormat, LabelSource, read_text
from .label_table import LabelRow, Labels

_LINE = re.compile(r'([^\t]+)\t([01](?:,[01])+)\s*')


def recognises(source: LabelSource) -> bool:
    """Whether the first lines have that form."""
    is_text = source.path.suffix.lower() in ('.txt', '.csv', '.tsv')
    return is_text and bool(source.lines) and all(map(_LINE.fullmatch, source.lines))


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    images, vectors = [], []
    for number, line in enumerate(read_text(source.path, answers.encoding).split('\n'), 1):
        if not line.strip():
            continue
        if not (match := _LINE.fullmatch(line)):
            raise ValueError(
                f'{source.path}: line {number} is {line[:80]!r}. Expected is a path, one tab, and '
                '0 or 1 for each class with commas between'
            )
        images.append(match[1])
        vectors.append([int(value) for value in match[2].split(',')])
        if len(vectors[-1]) != len(vectors[0]):
            raise ValueError(
                f'{source.path}: line {number} has {len(vectors[-1])} values, and the first line '
                f'has {len(vectors[0])}'
            )
    names = [str(i) for i in range(len(vectors[0]))]
    rows = [
        LabelRow(image, dict(zip(names, vector, strict=True)))
        for image, vector in zip(images, vectors, strict=True)
    ]
    return Labels(rows, names, are_numbers=True)


FORMAT = LabelFormat('paddleclas', "PaddleClas' lists", recognises, read)
