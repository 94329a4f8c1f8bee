"""Google's CSV of AutoML Vision and Vertex AI, without a header.

Source: cloud.google.com AutoML v1, InputConfig. ``ML_USE`` may be left out; the lines of an image
add up; in files for detection a box follows the label::

    TRAIN,gs://b/a.jpg,cat,sofa
    UNASSIGNED,gs://b/b.jpg
    TEST,gs://b/c.jpg,cat,0.1,0.1,,,0.5,0.5,,
"""

import re

from .answers import Answers
from .csv_table import cells
from .label_source import LabelFormat, LabelSource, read_text
from .label_table import LabelRow, Labels, split_of_word

_NUMBER = re.compile(r'-?\d*\.?\d+(e-?\d+)?', re.IGNORECASE)
_BOX = 8  # cells


def recognises(source: LabelSource) -> bool:
    """Whether the address of an image is the first or second cell of the first line."""
    is_csv = source.path.suffix.lower() == '.csv' and bool(source.lines)
    return is_csv and any(cell.startswith('gs://') for cell in source.lines[0].split(',')[:2])


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    rows, boxes = [], 0
    for number, row in enumerate(cells(read_text(source.path, answers.encoding), ','), 1):
        row = [cell.strip() for cell in row]
        if not row[0].startswith('gs://'):
            use, *row = row
        else:
            use = ''
        if not row or not row[0].startswith('gs://'):
            raise ValueError(f'{source.path}: row {number} has no gs:// address of an image')
        image, *labels = row
        if len(labels) > _BOX and all(not c or _NUMBER.fullmatch(c) for c in labels[1:]):
            labels, boxes = labels[:1], boxes + 1
        rows.append(LabelRow(image, dict.fromkeys(filter(None, labels), 1), split_of_word(use)))
    return Labels(rows, notes=[f'labels are made of {boxes:,} boxes'] if boxes else [])


FORMAT = LabelFormat('google-csv', "Google's CSV", recognises, read)
