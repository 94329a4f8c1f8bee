"""Google Vertex AI's JSON lines.

Source: cloud.google.com/vertex-ai, prepare data for classification. Multi-label files have
``classificationAnnotations``, single-label ones ``classificationAnnotation``::

    {"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": [{"displayName": "cat"}],
     "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "test"}}
"""

import msgspec

from .answers import Answers
from .label_source import LabelFormat, LabelSource, decode_json_lines
from .label_table import LabelRow, Labels, split_of_word

_EXPECTED = "Google's JSON lines: imageGcsUri, and classificationAnnotations with displayName"
_USE = 'aiplatform.googleapis.com/ml_use'


class _Annotation(msgspec.Struct):
    displayName: str


class _Image(msgspec.Struct):
    imageGcsUri: str
    classificationAnnotations: list[_Annotation] = []
    classificationAnnotation: _Annotation | None = None
    boundingBoxAnnotations: list[_Annotation] = []
    dataItemResourceLabels: dict[str, str] = {}


def recognises(source: LabelSource) -> bool:
    """Whether the first line has the address of an image."""
    return source.path.suffix.lower() != '.json' and 'imageGcsUri' in source.keys


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    rows = []
    for image in decode_json_lines(source.path, _Image, _EXPECTED):
        one = [image.classificationAnnotation] if image.classificationAnnotation else []
        found = [*image.classificationAnnotations, *one, *image.boundingBoxAnnotations]
        labels = {annotation.displayName: 1 for annotation in found}
        split = split_of_word(image.dataItemResourceLabels.get(_USE, ''))
        rows.append(LabelRow(image.imageGcsUri, labels, split))
    return Labels(rows)


FORMAT = LabelFormat('google-jsonl', "Google's JSON lines", recognises, read)
