"""Roboflow's multi-label export: a ``_classes.csv`` in each of the folders train, valid, test.

Source: exports in public repositories, such as datumaro's tests/assets/roboflow_dataset/multiclass.
Semantic masks have a file of this name, too, which lists the values of pixels::

    filename, cat, hot dog
    a_jpg.rf.0123456789abcdef0123456789abcdef.jpg, 1, 0
"""

from .csv_columns import edit_table, labels_of_table
from .csv_table import read_csv
from .edits import Changes
from .label_source import LabelFormat, LabelSource
from .label_table import Labels

_IMAGE = 'filename'


def _recognises(source: LabelSource) -> bool:
    return source.path.name == '_classes.csv'


def _read(source: LabelSource) -> Labels:
    table = read_csv(source, delimiter=',')
    if _IMAGE not in table.columns:
        raise ValueError(
            f'{source.path} lists the values of pixels in masks ({", ".join(table.columns)}), no '
            'labels of images: export as "Multi Label Classification", or give other label files'
        )
    return labels_of_table(table, _IMAGE)


def _edit(source: LabelSource, changes: Changes) -> str:
    return edit_table(read_csv(source, delimiter=','), changes, _IMAGE)


FORMAT = LabelFormat('roboflow', 'Roboflow _classes.csv', ('.csv',), _recognises, _read, _edit)
