"""FiftyOne's image classification dataset: ``labels.json`` beside ``data/``.

Source: voxel51/fiftyone, FiftyOneImageClassificationDataset. The keys of ``labels`` have no suffix
in exports; a target is an index, a name, an object with ``label``, a list of these, or null::

    {"classes": ["cat", "sofa"], "labels": {"a": ["cat", "sofa"], "b": [], "c": 1}}
"""

from typing import Any

import msgspec

from .answers import Answers
from .label_source import LabelFormat, LabelSource, decode_json
from .label_table import LabelRow, Labels

_EXPECTED = "FiftyOne's labels.json: the list classes, and the object labels by image"


class _Content(msgspec.Struct):
    labels: dict[str, Any]
    classes: list[str] | None = None


def recognises(source: LabelSource) -> bool:
    """Whether it has both keys, the labels as an object."""
    content = source.json
    if not isinstance(content, dict) or not content.keys() >= {'classes', 'labels'}:
        return False
    return bytes(content['labels']).lstrip().startswith(b'{')


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    content = decode_json(source.path, _Content, _EXPECTED)
    classes = content.classes or []
    rows = []
    for image, target in content.labels.items():
        targets = target if isinstance(target, list) else [] if target is None else [target]
        try:
            labels = {_name(each, classes): 1 for each in targets}
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f'{source.path}: the label {str(target)[:80]!r} of {image!r} is neither a name, '
                f'nor an index of the {len(classes)} classes, nor an object with "label"'
            ) from error
        rows.append(LabelRow(image, labels))
    return Labels(rows, classes)


def _name(target: object, classes: list[str]) -> str:
    if isinstance(target, dict):
        target = target['label']
    if isinstance(target, int):
        if target < 0:
            raise IndexError(target)
        return classes[target]
    if not isinstance(target, str):
        raise TypeError(target)
    return target


FORMAT = LabelFormat('fiftyone', "FiftyOne's labels.json", recognises, read)
