"""CSV files with a header: one column with the labels, or one column a class.

Sources: Planet (Kaggle; ``image_name,tags``), ChestX-ray14 (``Finding Labels`` with ``|``),
fastai's PASCAL 2007 (``fname,labels,is_valid``), CheXpert (a column a class: 1, 0, -1, empty)::

    image,labels                     image,cat,dog
    a.jpg,"cat,dog"                  a.jpg,1,1
    b.jpg,                           b.jpg,0,

Roboflow's multi-label export has a ``_classes.csv`` with a column a class in each of the folders
train, valid, test; source: exports in public repositories, such as datumaro's
tests/assets/roboflow_dataset/multiclass. Semantic masks have a file of this name, too, which lists
the values of pixels::

    filename, cat, hot dog
    a_jpg.rf.0123456789abcdef0123456789abcdef.jpg, 1, 0
"""

from .csv_columns import edit_table, labels_of_table
from .csv_table import DELIMITERS, possible_delimiters, read_csv
from .edits import Changes
from .image_names import has_image_suffix
from .label_source import TABLES, LabelFormat, LabelSource
from .label_table import Labels

_ROBOFLOW_IMAGE = 'filename'


def _recognises(source: LabelSource) -> bool:
    """Whether it is a table whose first row has no images."""
    if len(source.lines) < 2:
        return False
    first, second = (line.replace('"', '') for line in source.lines[:2])
    delimiters = possible_delimiters(source.head)
    # rows of different lengths are a table with an error, if one has an image
    delimiters = delimiters or [
        d for d in DELIMITERS if any(map(has_image_suffix, second.split(d)))
    ]
    headers = [first.split(each) for each in delimiters]
    names = [{cell.strip() for cell in header} - {''} for header in headers]
    return any(len(each) > 1 for each in names) and not any(
        has_image_suffix(name) for each in names for name in each
    )


def _read(source: LabelSource) -> Labels:
    return labels_of_table(read_csv(source))


def _edit(source: LabelSource, changes: Changes) -> str:
    return edit_table(read_csv(source), changes)


def _is_roboflow(source: LabelSource) -> bool:
    return source.path.name == '_classes.csv'


def _read_roboflow(source: LabelSource) -> Labels:
    table = read_csv(source, delimiter=',')
    if _ROBOFLOW_IMAGE not in table.columns:
        raise ValueError(
            f'{source.path} lists the values of pixels in masks ({", ".join(table.columns)}), no '
            'labels of images: export as "Multi Label Classification", or give other label files'
        )
    return labels_of_table(table, _ROBOFLOW_IMAGE)


def _edit_roboflow(source: LabelSource, changes: Changes) -> str:
    return edit_table(read_csv(source, delimiter=','), changes, _ROBOFLOW_IMAGE)


FORMAT = LabelFormat('csv', 'CSV', TABLES, _recognises, _read, _edit)
ROBOFLOW = LabelFormat(
    'roboflow', 'Roboflow _classes.csv', ('.csv',), _is_roboflow, _read_roboflow, _edit_roboflow
)
