"""Azure AutoML's JSON lines.

Source: learn.microsoft.com, reference-automl-images-schema. ``label`` is a list of names; one name
in multi-class files; a list of objects with ``label`` in those for detection::

    {"image_url": "azureml://datastores/d/paths/a.jpg", "label": ["cat", "sofa"]}
"""

import msgspec

from ...fileio.terminal import counted
from .file_content import decode_json_lines
from .label_source import JSON_LINES, LabelFormat, LabelSource
from .label_table import LabelRow, Labels

_EXPECTED = "Azure's JSON lines: image_url, and label with a list of names"


class _Object(msgspec.Struct):
    label: str


class _Image(msgspec.Struct):
    image_url: str
    label: str | _Object | list[str | _Object]


def _recognises(source: LabelSource) -> bool:
    return source.keys >= {'image_url', 'label'}


def _read(source: LabelSource) -> Labels:
    rows, boxes = [], 0
    for image in decode_json_lines(source.path, _Image, _EXPECTED):
        targets = image.label if isinstance(image.label, list) else [image.label]
        boxes += sum(isinstance(each, _Object) for each in targets)
        names = [each.label if isinstance(each, _Object) else each for each in targets]
        rows.append(LabelRow(image.image_url, dict.fromkeys(names, 1)))
    return Labels(rows, notes=[f'labels are made of {counted(boxes, "box")}'] if boxes else [])


FORMAT = LabelFormat('azure', "Azure's JSON lines", JSON_LINES, _recognises, _read)
