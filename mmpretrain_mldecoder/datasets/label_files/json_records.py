"""JSON with a record an image: Hugging Face's ``metadata.jsonl``, and files of one's own.

Source of the first: huggingface/datasets, docs/source/image_dataset.mdx. ``file_name`` is relative
to ``metadata.jsonl``, or to ``metadata.csv``::

    {"file_name": "0001.png", "labels": ["cat", "sofa"]}
    {"file_name": "0002.png", "objects": {"bbox": [[8, 5, 90, 60]], "categories": [0]}}

Others have any keys, in JSON lines, a list, or an object by image, such as pandas writes
(``DataFrame.to_json``, orient records and index); Apple's Create ML has a list of objects an
image::

    [{"image": "a.jpg", "labels": ["cat", "sofa"]}, {"image": "b.jpg", "labels": []}]
    {"a.jpg": ["cat", "sofa"], "b.jpg": []}
    {"a.jpg": {"cat": 1, "sofa": 1}, "b.jpg": {"cat": 0, "sofa": 0}}
    [{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 8, "y": 5}}]}]
"""

import json
from itertools import chain
from typing import Any

import msgspec

from ...fileio.terminal import counted, printable
from .csv_columns import edit_table, image_column, is_label_name, labels_of_table
from .csv_table import CsvTable, read_csv
from .edits import Changes, edit_json, edit_json_lines, edit_names
from .file_content import decode_json, decode_json_lines
from .image_names import has_image_suffix
from .label_source import JSON_LINES, LabelFormat, LabelSource
from .label_table import Labels

_FILE_NAME = 'file_name'
_OF_OBJECTS = ('categories', 'category', 'labels', 'label')
_IMAGE, _LABELS = 'image', 'labels'  # keys of what an object has by image


def _is_hugging_face(source: LabelSource) -> bool:
    """Whether it is a file of one of these names, with the key that the format needs."""
    if source.path.name == 'metadata.csv':
        return bool(source.lines) and _FILE_NAME in source.lines[0]
    return source.path.name == 'metadata.jsonl' and _FILE_NAME in source.keys


def _recognises(source: LabelSource) -> bool:
    """Whether the first key is the name of an image, or a value of the first record."""
    if _is_by_image(source):
        return True
    are_records = source.suffix in JSON_LINES or isinstance(source.json, list)
    first = source.json[:1] if isinstance(source.json, list) else [source.json or {}]
    values = [msgspec.json.decode(value) for record in first for value in record.values()]
    return are_records and any(isinstance(v, str) and has_image_suffix(v) for v in values)


def _is_by_image(source: LabelSource) -> bool:
    is_object = isinstance(source.json, dict) and source.suffix not in JSON_LINES
    return is_object and has_image_suffix(next(iter(source.json), ''))


def _read(source: LabelSource) -> Labels:
    if source.suffix == '.csv':
        return labels_of_table(read_csv(source), _FILE_NAME)
    records = _records(source)
    columns, unused = _columns(records)
    chosen = _chosen(columns)
    labels = labels_of_table(CsvTable(source, columns), _image_key(source), chosen)
    pairs = [(value, _classes(value)) for record in records for value in record.values()]
    boxes = sum(len(of) for value, of in pairs if isinstance(of, list) and of is not value)
    notes = [f'labels are made of {counted(boxes, "box")}'] if boxes and chosen else []
    notes += [f'keys not used: {", ".join(map(printable, unused))}'] if unused else []
    return labels._replace(notes=[*labels.notes, *notes])


def _edit(source: LabelSource, changes: Changes) -> str | None:
    if source.suffix == '.csv':
        return edit_table(read_csv(source), changes, _FILE_NAME)
    records = _records(source)
    columns, _ = _columns(records)
    keys = [*(source.answers.label_columns or _chosen(columns))]
    cells = [record.get(key) for record in records for key in keys]
    are_lists = any(isinstance(each, list) for each in cells)
    if len(keys) != 1 or not are_lists or any(_classes(each) is not each for each in cells):
        return None  # a key a class, text with several labels, or objects with boxes
    image = image_column(CsvTable(source, columns), _image_key(source))

    def edit(record: dict[str, Any]) -> None:
        if of_image := changes(str(record.get(image, ''))):
            value = record.get(keys[0])
            names = value if isinstance(value, list) else [] if value is None else [value]
            names = [str(name) for name in names]
            record[keys[0]] = edit_names(names, of_image, source.answers.no_label)

    def edit_all(content: Any) -> None:
        if isinstance(content, list):
            for record in content:
                edit(record)
            return
        for name, value in content.items():
            edit(record := _record(name, value))
            del record[_IMAGE]
            content[name] = record if isinstance(value, dict) else record[_LABELS]

    if source.suffix in JSON_LINES:
        return edit_json_lines(source.text(), edit)
    return edit_json(source.text(), edit_all)


def _records(source: LabelSource) -> list[dict[str, Any]]:
    if source.suffix in JSON_LINES:
        return decode_json_lines(source.path, dict[str, Any], 'a record an image')
    if not _is_by_image(source):
        return decode_json(source.path, list[dict[str, Any]], 'a list with a record an image')
    by_image = decode_json(source.path, dict[str, Any], 'an object with labels by image')
    return [_record(name, value) for name, value in by_image.items()]


def _record(name: str, value: Any) -> dict[str, Any]:
    """Return what an object has by image as a record."""
    return (value if isinstance(value, dict) else {_LABELS: value}) | {_IMAGE: name}


def _image_key(source: LabelSource) -> str | None:
    """Return the key of the image, None if the values show it."""
    if _is_by_image(source):
        return _IMAGE
    return _FILE_NAME if _is_hugging_face(source) else None


def _columns(records: list[dict[str, Any]]) -> tuple[dict[str, list[str]], list[str]]:
    """Return values as the cells of a table have them, and keys whose values are no labels."""
    names = dict.fromkeys(chain.from_iterable(records))
    values = {name: [_classes(record.get(name)) for record in records] for name in names}
    unused = [name for name in names if not all(map(_is_plain, values[name]))]
    lists = [name for name in names if any(isinstance(each, list) for each in values[name])]
    columns = {
        name: [_cell(each, name in lists) for each in values[name]]
        for name in names
        if name not in unused
    }
    return columns, unused


def _chosen(columns: dict[str, list[str]]) -> list[str]:
    """Return the one key with lists of names, or with lists where no other has labels by its name.

    Other lists may be a box or a size.
    """
    for begin in ('["', '['):
        found = [name for name, cells in columns.items() if any(c.startswith(begin) for c in cells)]
        if len(found) == 1 and (
            begin == '["' or not any(map(is_label_name, {*columns} - {*found}))
        ):
            return found
    return []


def _classes(value: Any) -> Any:
    """Return the classes of objects with boxes; any other value as it is."""
    objects = value if isinstance(value, list) else [value]
    if not objects or not all(isinstance(each, dict) for each in objects):
        return value
    keys = [next((key for key in _OF_OBJECTS if key in each), None) for each in objects]
    if None in keys:
        return value
    found = [each[key] for each, key in zip(objects, keys, strict=True)]
    return found if isinstance(value, list) else found[0]


def _is_plain(value: Any) -> bool:
    """Whether a value may be labels: no object, and no list of others than text and integers."""
    if isinstance(value, list):
        return all(isinstance(each, (str, int)) for each in value)
    return not isinstance(value, dict)


def _cell(value: Any, in_list: bool) -> str:
    """Return a value as a cell of a table has it."""
    if value is None:
        return ''
    if in_list:
        return json.dumps(value if isinstance(value, list) else [value])
    return str(value)


HUGGING_FACE = LabelFormat(
    'hugging-face', "Hugging Face's metadata", ('.csv', '.jsonl'), _is_hugging_face, _read, _edit
)
FORMAT = LabelFormat(
    'json', 'JSON with a record an image', ('.json', *JSON_LINES), _recognises, _read, _edit
)
