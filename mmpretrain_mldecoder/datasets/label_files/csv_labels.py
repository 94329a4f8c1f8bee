"""CSV files with a header: one column with the labels, or one column a class.

Sources: Planet (Kaggle; ``image_name,tags``), ChestX-ray14 (``Finding Labels`` with ``|``),
fastai's PASCAL 2007 (``fname,labels,is_valid``), CheXpert (a column a class: 1, 0, -1, empty)::

    image,labels                     image,cat,dog
    a.jpg,"cat,dog"                  a.jpg,1,1
    b.jpg,                           b.jpg,0,
"""

from .csv_columns import edit_table, labels_of_table
from .csv_table import DELIMITERS, possible_delimiters, read_csv
from .edits import Changes
from .image_names import has_image_suffix
from .label_source import TABLES, LabelFormat, LabelSource
from .label_table import Labels


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


FORMAT = LabelFormat('csv', 'CSV', TABLES, _recognises, _read, _edit)
