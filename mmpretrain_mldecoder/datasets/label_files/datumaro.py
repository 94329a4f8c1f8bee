"""Datumaro's JSON: a file a subset, ``annotations/<subset>.json``.

Source: open-edge-platform/datumaro, tests/assets/datumaro_dataset/legacy::

    {"categories": {"label": {"labels": [{"name": "cat"}]}},
     "items": [{"id": "a", "annotations": [{"type": "label", "label_id": 0}],
                "image": {"path": "a.jpg"}}]}
"""

import msgspec

from .file_content import decode_json
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels
from .label_values import boxes_count, names_at

_EXPECTED = "Datumaro's JSON: categories with label.labels, and items with annotations"


class _Annotation(msgspec.Struct):
    type: str
    label_id: int | None = None


class _Media(msgspec.Struct):
    path: str = ''


class _Item(msgspec.Struct):
    id: str | int
    annotations: list[_Annotation] = []
    image: _Media | None = None


class _Label(msgspec.Struct):
    name: str


class _Labels(msgspec.Struct):
    labels: list[_Label] = []


class _Categories(msgspec.Struct):
    label: _Labels = msgspec.field(default_factory=_Labels)


class _Content(msgspec.Struct):
    items: list[_Item]
    categories: _Categories = msgspec.field(default_factory=_Categories)


def _recognises(source: LabelSource) -> bool:
    return source.keys >= {'categories', 'items'}


def _read(source: LabelSource) -> Labels:
    content = decode_json(source.path, _Content, _EXPECTED)
    names = [label.name for label in content.categories.label.labels]
    found = [
        (item, [each for each in item.annotations if each.label_id is not None])
        for item in content.items
    ]
    are_labels = [each.type == 'label' for _, annotations in found for each in annotations]
    labels, boxes = are_labels.count(True), are_labels.count(False)
    with_boxes, notes = boxes_count(labels, boxes, source)
    rows = []
    for item, annotations in found:
        ids = [each.label_id for each in annotations if each.type == 'label' or with_boxes]
        labels = names_at(ids, names, f'{source.path}: item {item.id!r} has label_id')
        path = item.image.path if item.image else ''
        rows.append(LabelRow(path or str(item.id), dict.fromkeys(labels, 1)))
    return Labels(rows, names, notes)


FORMAT = LabelFormat('datumaro', "Datumaro's JSON", ('.json',), _recognises, _read)
