"""Roboflow's multi-label export: a ``_classes.csv`` in each of the folders train, valid, test.

Source: exports in public repositories, such as datumaro's tests/assets/roboflow_dataset/multiclass.
Semantic masks have a file of this name, too, which lists the values of pixels::

    filename, cat, hot dog
    a_jpg.rf.0123456789abcdef0123456789abcdef.jpg, 1, 0
"""

from .answers import Answers
from .csv_table import read_csv
from .label_columns import labels_of_columns
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels

_IMAGE = 'filename'


def recognises(source: LabelSource) -> bool:
    """Whether it is a file of that name."""
    return source.path.name == '_classes.csv'


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    table = read_csv(source.path, answers, delimiter=',')
    if table.header[0] != _IMAGE:
        raise ValueError(
            f'{source.path} lists the values of pixels in masks ({", ".join(table.header[:3])}), '
            'no labels of images: export as "Multi Label Classification", or give other label files'
        )
    classes = {name: table.column(name) for name in table.header[1:]}
    of_rows, names, notes = labels_of_columns(classes, source.path, answers)
    images = table.column(_IMAGE)
    return Labels([LabelRow(*row) for row in zip(images, of_rows, strict=True)], names, notes)


FORMAT = LabelFormat('roboflow', 'Roboflow _classes.csv', recognises, read)
