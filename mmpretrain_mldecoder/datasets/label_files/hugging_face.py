"""Hugging Face's ImageFolder: ``metadata.jsonl`` or ``metadata.csv`` beside the images.

Source: huggingface/datasets, docs/source/image_dataset.mdx. ``file_name`` is relative to the file::

    {"file_name": "0001.png", "labels": ["cat", "sofa"]}
    {"file_name": "0002.png", "objects": {"bbox": [[8, 5, 90, 60]], "categories": [0]}}
"""

import json
from itertools import chain
from typing import Any

from ...fileio.terminal import counted
from .csv_columns import edit_table, labels_of_table
from .csv_table import CsvTable, read_csv
from .edits import Changes, edit_json_lines, edit_names
from .file_content import decode_json_lines
from .label_source import LabelFormat, LabelSource
from .label_table import Labels

_IMAGE = 'file_name'
_OF_OBJECTS = ('categories', 'category', 'labels', 'label')


def _recognises(source: LabelSource) -> bool:
    """Whether it is a file of one of these names, with the key that the format needs."""
    if source.path.name == 'metadata.csv':
        return bool(source.lines) and _IMAGE in source.lines[0]
    return source.path.name == 'metadata.jsonl' and _IMAGE in source.keys


def _read(source: LabelSource) -> Labels:
    if source.suffix == '.csv':
        return labels_of_table(read_csv(source), _IMAGE)
    records = decode_json_lines(source.path, dict[str, Any], f'a line with {_IMAGE!r}')
    names = dict.fromkeys(chain.from_iterable(records))
    values = {name: [_classes(record.get(name)) for record in records] for name in names}
    lists = [name for name in names if any(isinstance(each, list) for each in values[name])]
    columns = {name: [_cell(each, name in lists) for each in values[name]] for name in names}
    table = CsvTable(source, columns)
    labels = labels_of_table(table, _IMAGE, lists if len(lists) == 1 else ())
    objects = [_classes(v) for record in records for v in record.values() if isinstance(v, dict)]
    boxes = sum(len(each) for each in objects if isinstance(each, list) and len(lists) == 1)
    notes = [f'labels are made of {counted(boxes, "box")}'] if boxes else []
    return labels._replace(notes=[*labels.notes, *notes])


def _edit(source: LabelSource, changes: Changes) -> str | None:
    if source.suffix == '.csv':
        return edit_table(read_csv(source), changes, _IMAGE)
    records = decode_json_lines(source.path, dict[str, Any], f'a line with {_IMAGE!r}')
    lists = {name for record in records for name, v in record.items() if isinstance(v, list)}
    keys = [*(source.answers.label_columns or lists)]
    if len(keys) != 1 or keys[0] not in lists:  # a key a class, or text with several labels
        return None

    def edit(record: dict[str, Any]) -> None:
        if of_image := changes(str(record.get(_IMAGE, ''))):
            value = record.get(keys[0])
            names = value if isinstance(value, list) else [] if value is None else [value]
            names = [str(name) for name in names]
            record[keys[0]] = edit_names(names, of_image, source.answers.no_label)

    return edit_json_lines(source.text(), edit)


def _classes(value: Any) -> Any:
    """Return the classes of objects with boxes; any other value as it is."""
    keys = [key for key in _OF_OBJECTS if key in value] if isinstance(value, dict) else []
    return value[keys[0]] if keys else value


def _cell(value: object, in_list: bool) -> str:
    """Return a value as a cell of a table has it."""
    if value is None:
        return ''
    if in_list:
        return json.dumps(value if isinstance(value, list) else [value])
    return str(value)


FORMAT = LabelFormat(
    'hugging-face', "Hugging Face's metadata", ('.csv', '.jsonl'), _recognises, _read, _edit
)
