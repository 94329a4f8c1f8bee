"""Google's CSV of AutoML Vision without a header, and the JSON lines of Vertex AI.

Sources: cloud.google.com, AutoML v1, InputConfig; Vertex AI, prepare data for classification. In
CSV ``ML_USE`` may be left out, the lines of an image add up, and a box may follow the label; JSON
for a single label has ``classificationAnnotation``::

    TRAIN,gs://b/a.jpg,cat,sofa
    TEST,gs://b/c.jpg,cat,0.1,0.1,,,0.5,0.5,,

    {"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": [{"displayName": "cat"}],
     "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "test"}}
"""

import re

import msgspec

from ...fileio.terminal import counted
from .csv_table import cells
from .file_content import decode_json_lines
from .label_source import JSON_LINES, LabelFormat, LabelSource
from .label_table import LabelRow, Labels, split_of_word
from .label_values import settle_unlabelled

_EXPECTED = "Google's JSON lines: imageGcsUri, and classificationAnnotations with displayName"
_USE = 'aiplatform.googleapis.com/ml_use'
_NUMBER = re.compile(r'(-?\d*\.?\d+(e-?\d+)?)?', re.IGNORECASE)
_BOX = 8  # cells


class _Annotation(msgspec.Struct):
    displayName: str


class _Image(msgspec.Struct):
    imageGcsUri: str
    classificationAnnotations: list[_Annotation] = []
    classificationAnnotation: _Annotation | None = None
    boundingBoxAnnotations: list[_Annotation] = []
    dataItemResourceLabels: dict[str, str | None] = {}


def _recognises(source: LabelSource) -> bool:
    """Whether the first line has the address of an image, in CSV as first or second cell."""
    if source.suffix in JSON_LINES:
        return 'imageGcsUri' in source.keys
    return any(cell.startswith('gs://') for cell in ''.join(source.lines[:1]).split(',')[:2])


def _read(source: LabelSource) -> Labels:
    rows, notes = _rows(source)
    # an image "not yet labeled" is one without a label (AutoML v1, InputConfig)
    labelled = {row.image for row in rows if row.labels}
    unclear = [row.image for row in rows if row.image not in labelled]
    kept, left_out = settle_unlabelled(rows, unclear, source)
    return Labels(kept, notes=[*notes, *left_out])


def _rows(source: LabelSource) -> tuple[list[LabelRow], list[str]]:
    """Return the rows and notes."""
    if source.suffix in JSON_LINES:
        return [*map(_row, decode_json_lines(source.path, _Image, _EXPECTED))], []
    rows, boxes = [], 0
    for number, row in enumerate(cells(source.text(), ',', source.path), 1):
        row = [cell.strip() for cell in row]
        use, address = row[0], row[0 if row[0].startswith('gs://') else 1 :]
        if not address or not address[0].startswith('gs://'):
            raise ValueError(f'{source.path}: row {number} has no gs:// address of an image')
        if use.upper() not in ('', 'UNASSIGNED', address[0].upper()) and not split_of_word(use):
            raise ValueError(
                f'{source.path}: row {number} has ML_USE {use!r}: write TRAIN, VALIDATION, TEST '
                'or UNASSIGNED'
            )
        image, *labels = address
        if len(labels) > _BOX and all(map(_NUMBER.fullmatch, labels[1:])):
            labels, boxes = labels[:1], boxes + 1
        rows.append(LabelRow(image, dict.fromkeys(filter(None, labels), 1), split_of_word(use)))
    return rows, [f'labels are made of {counted(boxes, "box")}'] if boxes else []


def _row(image: _Image) -> LabelRow:
    one = [image.classificationAnnotation] if image.classificationAnnotation else []
    found = [*image.classificationAnnotations, *one, *image.boundingBoxAnnotations]
    split = split_of_word(image.dataItemResourceLabels.get(_USE) or '')
    return LabelRow(image.imageGcsUri, {each.displayName: 1 for each in found}, split)


FORMAT = LabelFormat(
    'google', "Google's CSV or JSON lines", ('.csv', *JSON_LINES), _recognises, _read
)
