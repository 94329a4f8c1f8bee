"""FiftyOne's exports: ``labels.json`` or ``samples.json`` beside ``data/``.

Source: voxel51/fiftyone, FiftyOneImageClassificationDataset and FiftyOneDataset. The keys of
``labels`` have no suffix in exports; a target is an index, a name, an object with ``label``, a list
of these, or null, which is written for no label and for an image that is not labelled::

    {"classes": ["cat", "sofa"], "labels": {"a": ["cat", "sofa"], "b": [], "c": 1}}

Samples have fields with labels, and splits among their tags::

    {"samples": [{"filepath": "data/a.jpg", "tags": ["train"], "ground_truth": {
        "_cls": "Classifications", "classifications": [{"label": "cat"}, {"label": "sofa"}]}}]}
"""

from collections import Counter
from itertools import chain
from typing import Any

import msgspec

from ...errors import OpenQuestion
from ...fileio.terminal import counted
from .edits import Changes, edit_json, edit_names
from .file_content import decode_json
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels, split_of_word
from .label_values import names_at, settle_unlabelled

_EXPECTED = "FiftyOne's labels.json: the list classes, and the object labels by image"
_EXPECTED_SAMPLES = "FiftyOne's samples.json: the list samples of objects with filepath"
# the key with the labels of a field; of those without, the field is one label
_KEYS = {'Classifications': 'classifications', 'Detections': 'detections', 'Polylines': 'polylines'}
_KEYS |= dict.fromkeys(('Classification', 'Detection', 'Polyline'), '')


class _Object(msgspec.Struct):
    label: str


_Target = int | str | _Object


class _Content(msgspec.Struct):
    labels: dict[str, _Target | list[_Target] | None]
    classes: list[str] | None = None


class _Samples(msgspec.Struct):
    samples: list[dict[str, Any]]


def _recognises(source: LabelSource) -> bool:
    """Whether it has classes and labels, the labels as an object, or samples with paths."""
    content = source.json
    if _has_samples(source):
        return b'"filepath"' in bytes(content['samples'])
    is_object = isinstance(content, dict) and content.keys() >= {'classes', 'labels'}
    return is_object and bytes(content['labels']).startswith(b'{')


def _has_samples(source: LabelSource) -> bool:
    return isinstance(source.json, dict) and 'samples' in source.keys


def _read(source: LabelSource) -> Labels:
    if _has_samples(source):
        return _read_samples(source)
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
    unclear = [image for image, target in content.labels.items() if target is None]
    kept, notes = settle_unlabelled(rows, unclear, source)
    return Labels(kept, classes, notes)


def _read_samples(source: LabelSource) -> Labels:
    samples = decode_json(source.path, _Samples, _EXPECTED_SAMPLES).samples
    fields = [
        {name: labels for name, value in sample.items() if (labels := _labels(value)) is not None}
        for sample in samples
    ]
    counts = Counter(chain.from_iterable(fields))
    if not counts:
        raise ValueError(f'{source.path}: no sample has a field with labels')
    chosen = source.answers.label_columns or tuple(counts)
    if source.answers.label_columns is None and len(counts) > 1:
        choices = {(name,): f'of {counted(count, "image")}' for name, count in counts.items()}
        raise OpenQuestion(
            'label_columns',
            f'{source.path} has labels in several fields. Which are those to learn?',
            choices | {tuple(counts): 'all of them'},
        )
    if unknown := {*chosen} - counts.keys():
        raise ValueError(
            f'{source.path} has no labels in the field {min(unknown)!r}; it has in '
            f'{", ".join(counts)}'
        )
    rows, unclear = [], []
    for sample, of_sample in zip(samples, fields, strict=True):
        names = chain.from_iterable(of_sample.get(name, ()) for name in chosen)
        split = next(filter(None, map(split_of_word, sample.get('tags') or ())), '')
        rows.append(LabelRow(str(sample.get('filepath', '')), dict.fromkeys(names, 1), split))
        if not {*chosen} & of_sample.keys():
            unclear.append(rows[-1].image)
    kept, notes = settle_unlabelled(rows, unclear, source)
    return Labels(kept, notes=notes)


def _labels(value: Any) -> list[str] | None:
    """Return the labels of a field; None if it is of another kind."""
    if not isinstance(value, dict) or value.get('_cls') not in _KEYS:
        return None
    key = _KEYS[value['_cls']]
    found = (value.get(key) or ()) if key else [value]
    return [str(each['label']) for each in found if each.get('label') is not None]


def _edit(source: LabelSource, changes: Changes) -> str | None:
    if _has_samples(source):
        return None
    names_of = {row.image: [*row.labels] for row in _read(source).rows}

    def edit(content: dict[str, Any]) -> None:
        for image, names in names_of.items():
            if of_image := changes(image):
                content['labels'][image] = edit_names(names, of_image, source.answers.no_label)

    return edit_json(source.text(), edit)


FORMAT = LabelFormat('fiftyone', "FiftyOne's labels.json", ('.json',), _recognises, _read, _edit)
