"""FiftyOne's image classification dataset: ``labels.json`` beside ``data/``.

Source: voxel51/fiftyone, FiftyOneImageClassificationDataset. The keys of ``labels`` have no suffix
in exports; a target is an index, a name, an object with ``label``, a list of these, or null::

    {"classes": ["cat", "sofa"], "labels": {"a": ["cat", "sofa"], "b": [], "c": 1}}
"""

from typing import Any

import msgspec

from .edits import Changes, edit_json, edit_names
from .file_content import decode_json
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels
from .label_values import names_at

_EXPECTED = "FiftyOne's labels.json: the list classes, and the object labels by image"


class _Object(msgspec.Struct):
    label: str


_Target = int | str | _Object


class _Content(msgspec.Struct):
    labels: dict[str, _Target | list[_Target] | None]
    classes: list[str] | None = None


def _recognises(source: LabelSource) -> bool:
    """Whether it has both keys, the labels as an object."""
    content = source.json
    is_object = isinstance(content, dict) and content.keys() >= {'classes', 'labels'}
    return is_object and bytes(content['labels']).startswith(b'{')


def _read(source: LabelSource) -> Labels:
    content = decode_json(source.path, _Content, _EXPECTED)
    classes = content.classes or []
    rows = []
    for image, target in content.labels.items():
        targets = target if isinstance(target, list) else [] if target is None else [target]
        indices = [each for each in targets if isinstance(each, int)]
        labels = names_at(indices, classes, f'{source.path}: {image!r} has the label')
        others = [each for each in targets if not isinstance(each, int)]
        labels += [each.label if isinstance(each, _Object) else each for each in others]
        rows.append(LabelRow(image, dict.fromkeys(labels, 1)))
    return Labels(rows, classes)


def _edit(source: LabelSource, changes: Changes) -> str:
    names_of = {row.image: [*row.labels] for row in _read(source).rows}

    def edit(content: dict[str, Any]) -> None:
        for image, names in names_of.items():
            if of_image := changes(image):
                content['labels'][image] = edit_names(names, of_image, source.answers.no_label)

    return edit_json(source.text(), edit)


FORMAT = LabelFormat('fiftyone', "FiftyOne's labels.json", ('.json',), _recognises, _read, _edit)
