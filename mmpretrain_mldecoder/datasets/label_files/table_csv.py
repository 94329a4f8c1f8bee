"""Writing of a label table as a CSV with a column a class, which ``csv_labels`` reads."""

import csv
from pathlib import Path

from ...fileio.atomic_write import atomic_write
from .label_table import LabelTable


def write_table_csv(table: LabelTable, out: Path) -> None:
    """Write images, splits if there are some, groups likewise, and 1, 0 or -1 for each class."""
    others = {
        name: values
        for name, values in (('split', table.splits), ('group', table.groups))
        if any(values)
    }
    with atomic_write(out) as path, path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['image', *others, *table.classes])
        rows = zip(table.images, *others.values(), table.targets.tolist(), strict=True)
        writer.writerows([*row, *targets] for *row, targets in rows)
