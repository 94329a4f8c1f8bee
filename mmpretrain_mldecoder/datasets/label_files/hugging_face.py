"""Hugging Face's ImageFolder: ``metadata.jsonl`` or ``metadata.csv`` beside the images.

Source: huggingface/datasets, docs/source/image_dataset.mdx. ``file_name`` is relative to the file::

    {"file_name": "0001.png", "labels": ["cat", "sofa"]}
"""

from collections.abc import Mapping
from typing import Any

from ...errors import OpenQuestion
from ...fileio.terminal import printable
from .answers import Answers
from .csv_table import read_csv, split_column
from .label_columns import labels_of_columns
from .label_source import LabelFormat, LabelSource, decode_json_lines
from .label_table import LabelRow, Labels, split_of_word

_IMAGE = 'file_name'


def recognises(source: LabelSource) -> bool:
    """Whether it is a file of one of these names, with the key that the format needs."""
    if source.path.name == 'metadata.csv':
        return bool(source.lines) and _IMAGE in source.lines[0]
    return source.path.name == 'metadata.jsonl' and _IMAGE in source.keys


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    if source.path.suffix == '.csv':
        table = read_csv(source.path, answers)
        images = list(table.column(_IMAGE))
        split, splits = split_column(table)
        cells = {name: table.column(name) for name in table.header if name not in (_IMAGE, split)}
        of_rows, classes, notes = labels_of_columns(cells, source.path, answers)
    else:
        records = decode_json_lines(source.path, dict[str, Any], f'a line with {_IMAGE!r}')
        images = [str(record.get(_IMAGE, '')) for record in records]
        splits = [split_of_word(str(record.get('split', ''))) for record in records]
        of_rows, classes, notes = _labels_of_records(records, source, answers)
    rows = [LabelRow(*row) for row in zip(images, of_rows, splits, strict=True)]
    return Labels(rows, classes, notes)


def _labels_of_records(
    records: list[dict[str, Any]], source: LabelSource, answers: Answers
) -> tuple[list[dict[str, int]], tuple[str, ...], list[str]]:
    names = dict.fromkeys(
        key for record in records for key in record if key not in (_IMAGE, 'split')
    )
    lists = [name for name in names if any(isinstance(r.get(name), list) for r in records)]
    if answers.label_columns is not None:
        lists = [name for name in lists if name in answers.label_columns]
    if not lists:
        cells = {name: [_text(record.get(name)) for record in records] for name in names}
        return labels_of_columns(cells, source.path, answers)
    if len(lists) > 1:
        raise OpenQuestion(
            'label_columns',
            f'{source.path}: which key has the labels?',
            {(name,): f'such as {printable(str(records[0].get(name))[:60])}' for name in lists},
        )
    others = [printable(name) for name in names if name not in lists]
    notes = [f'keys not used: {", ".join(others)}'] if others else []
    return [_labels(record, lists[0]) for record in records], (), notes


def _labels(record: Mapping[str, Any], name: str) -> dict[str, int]:
    value = record.get(name)
    labels = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(label, (str, int)) for label in labels):
        raise ValueError(f'{name!r} of {record[_IMAGE]!r} is no list of names: {str(labels)[:80]}')
    return dict.fromkeys(map(str, labels), 1)


def _text(value: object) -> str:
    return '' if value is None else str(value)


FORMAT = LabelFormat('hugging-face', "Hugging Face's metadata", recognises, read)
