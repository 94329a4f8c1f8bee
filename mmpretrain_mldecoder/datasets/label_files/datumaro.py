"""Datumaro's JSON: a file a subset, ``annotations/<subset>.json``.

Source: open-edge-platform/datumaro, tests/assets/datumaro_dataset/legacy::

    {"categories": {"label": {"labels": [{"name": "cat"}]}},
     "items": [{"id": "a", "annotations": [{"type": "label", "label_id": 0}],
                "image": {"path": "a.jpg"}}]}
"""

from typing import Any

import msgspec

from .answers import Answers
from .boxes import boxes_count, boxes_note
from .label_source import LabelFormat, LabelSource, decode_json
from .label_table import LabelRow, Labels

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


class _Content(msgspec.Struct):
    items: list[_Item]
    categories: dict[str, Any] = {}


def recognises(source: LabelSource) -> bool:
    """Whether it has both keys."""
    return source.keys >= {'categories', 'items'}


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    content = decode_json(source.path, _Content, _EXPECTED)
    categories = content.categories.get('label', {}).get('labels', [])
    names = [str(category['name']) for category in categories]
    types = [
        each.type == 'label'
        for item in content.items
        for each in item.annotations
        if each.label_id is not None
    ]
    labels, boxes = sum(types), len(types) - sum(types)
    with_boxes = boxes_count(labels, boxes, source.path, answers)
    rows = []
    for item in content.items:
        of_image = {}
        for each in item.annotations:
            if each.label_id is None or not (each.type == 'label' or with_boxes):
                continue
            if not 0 <= each.label_id < len(names):
                raise ValueError(
                    f'{source.path}: item {item.id!r} has label_id {each.label_id}, and there are '
                    f'{len(names)} labels: correct it, or add the label'
                )
            of_image[names[each.label_id]] = 1
        path = item.image.path if item.image else ''
        rows.append(LabelRow(path or str(item.id), of_image))
    return Labels(rows, names, boxes_note(labels, boxes, with_boxes))


FORMAT = LabelFormat('datumaro', "Datumaro's JSON", recognises, read)
