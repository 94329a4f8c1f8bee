"""CSV files with a header: one column with the labels, or one column a class.

Sources: Planet (Kaggle; ``image_name,tags``), ChestX-ray14 (``Finding Labels`` with ``|``),
fastai's PASCAL 2007 (``fname,labels,is_valid``), CheXpert (a column a class: 1, 0, -1, empty)::

    image,labels                     image,cat,dog
    a.jpg,"cat,dog"                  a.jpg,1,1
    b.jpg,                           b.jpg,0,
"""

from .answers import Answers
from .csv_table import group_column, image_column, possible_delimiters, read_csv, split_column
from .image_names import has_image_suffix
from .label_columns import labels_of_columns
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels


def recognises(source: LabelSource) -> bool:
    """Whether it is a table whose first row has no images."""
    if source.path.suffix.lower() not in ('.csv', '.tsv', '.txt') or len(source.lines) < 2:
        return False
    headers = [source.lines[0].split(each) for each in possible_delimiters(source.head)]
    names = [{cell.strip() for cell in header} - {''} for header in headers]
    return any(len(each) > 1 for each in names) and not any(
        has_image_suffix(name) for each in names for name in each
    )


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    table = read_csv(source.path, answers)
    image = image_column(table, source, answers)
    split, splits = split_column(table)
    taken = (image, split, answers.group_column)
    others = {name: table.column(name) for name in table.header if name and name not in taken}
    of_rows, classes, notes = labels_of_columns(others, source.path, answers)
    groups = group_column(table, answers)
    rows = zip(table.column(image), of_rows, splits, groups, strict=True)
    return Labels([LabelRow(*row) for row in rows], classes, notes)


FORMAT = LabelFormat('csv', 'CSV', recognises, read)
