"""Label Studio's exports: JSON, JSON-MIN and CSV; labels are ``choices`` and ``taxonomy``.

Source: HumanSignal/label-studio, docs/source/guide/export.md; label-studio-converter. Cancelled
annotations, predictions and tasks without an annotation are skipped::

    [{"data": {"image": "/data/upload/1/ab12cd34-a.jpg"},
      "annotations": [{"result": [{"from_name": "tags", "type": "choices",
                                   "value": {"choices": ["cat", "sofa"]}}]}]}]
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from ...errors import OpenQuestion
from ...fileio.terminal import counted, printable
from .answers import NO, TARGETS, UNKNOWN, YES
from .csv_table import read_csv
from .file_content import decode_json
from .image_names import has_image_suffix
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels
from .label_values import boxes_count

_EXPECTED = "Label Studio's JSON: a list of tasks"
_OF_ANNOTATION = {'annotator', 'annotation_id'}
_OTHERS = {'id', 'created_at', 'updated_at', 'lead_time', 'agreement', *_OF_ANNOTATION}
_CHOICES = 'choices'
_OF_IMAGES = (_CHOICES, 'taxonomy')
_TABLES = ('.csv', '.tsv')


class _Result(msgspec.Struct):
    from_name: str = ''
    value: Any = None


class _Given(msgspec.Struct):
    result: list[_Result] | None = None
    was_cancelled: bool | None = None
    skipped: bool | None = None


class _Task(msgspec.Struct):
    data: dict[str, Any]
    annotations: list[_Given] | None = None
    completions: list[_Given] | None = None  # before Label Studio 1.0


class _Value(NamedTuple):
    name: str  # of the tag
    is_shape: bool
    labels: list[str]


class _Annotation(NamedTuple):
    task: str  # the same for all annotations of an image
    data: dict[str, Any]  # of the task: the image among others
    values: list[_Value]


def _recognises(source: LabelSource) -> bool:
    """Whether it is a list of tasks, or has the columns of annotations."""
    if source.suffix in _TABLES:
        return bool(source.lines) and all(name in source.lines[0] for name in _OF_ANNOTATION)
    of_task = 'data' in source.keys and source.keys & {'annotations', 'completions'}
    return isinstance(source.json, list) and bool(of_task or source.keys >= _OF_ANNOTATION)


def _read(source: LabelSource) -> Labels:
    if source.suffix in _TABLES:
        columns = read_csv(source).columns
        cells = zip(*columns.values(), strict=True)
        records: list[Any] = [dict(zip(columns, row, strict=True)) for row in cells]
    else:
        kind = list[_Task] if 'data' in source.keys else list[dict[str, Any]]
        records = decode_json(source.path, kind, _EXPECTED)
    of_tasks = [[*_annotations(record, place)] for place, record in enumerate(records)]
    found = [each for of_task in of_tasks for each in of_task]
    image = _image_key(found, source)
    values = [value for each in found for value in each.values if value.name != image]
    shapes = sum(value.is_shape for value in values)
    with_shapes, notes = boxes_count(len(values) - shapes, shapes, source)
    if skipped := of_tasks.count([]):
        notes.append(f'{counted(skipped, "task")} without an annotation skipped')
    counts = Counter(value.name for value in values if with_shapes or not value.is_shape)
    if source.answers.label_columns is None and len(counts) > 1:
        choices = {(name,): counted(count, 'time') for name, count in counts.items()}
        raise OpenQuestion(
            'label_columns',
            f'{source.path} has labels under several names. Which are those to learn?',
            choices | {tuple(counts): 'all of them'},
        )
    chosen = source.answers.label_columns or counts.keys()
    by_task: dict[str, list[_Annotation]] = defaultdict(list)
    for each in found:
        by_task[each.task].append(each)
    rows, differing = [], 0
    for of_task in by_task.values():
        given: Counter[str] = Counter()
        for each in of_task:
            clear = [v for v in each.values if v.name in chosen and (with_shapes or not v.is_shape)]
            given.update({label for value in clear for label in value.labels})
        some = [label for label, count in given.items() if count < len(of_task)]
        differing += bool(some)
        labels = dict.fromkeys(given, 1) | dict.fromkeys(
            some, TARGETS[source.answers.annotators or YES]
        )
        rows.append(LabelRow(str(of_task[0].data.get(image, '')), labels))
    if differing and source.answers.annotators is None:
        raise OpenQuestion(
            'annotators',
            f'{source.path}: the annotators of {counted(differing, "image")} differ. Is a label '
            'one that only some of them gave?',
            {YES: 'one annotator is enough', NO: 'all have to agree', UNKNOWN: 'it is unknown'},
        )
    return Labels(rows, notes=notes)


def _annotations(record: _Task | dict[str, Any], place: int) -> Iterator[_Annotation]:
    """Yield those of a task; a record of JSON-MIN or CSV is one, with names of tags as keys."""
    if isinstance(record, dict):
        tags = [_values(*item) for item in record.items() if item[0] not in _OTHERS]
        task = str(record.get('id', f'row {place}'))
        yield _Annotation(task, record, [each for tag in tags for each in tag])
        return
    for annotation in record.annotations or record.completions or ():
        if not (annotation.was_cancelled or annotation.skipped):
            tags = [_values(each.from_name, each.value) for each in annotation.result or ()]
            yield _Annotation(f'{place}', record.data, [each for tag in tags for each in tag])


def _values(name: str, value: object) -> Iterator[_Value]:
    """Yield what a value has: a name, an object with ``choices`` or shapes, or a list of these."""
    if isinstance(value, str) and value[:1] in ('[', '{'):  # in CSV
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and each:
            yield _Value(name, False, [each])
        for kind, labels in each.items() if isinstance(each, dict) else ():
            if isinstance(labels, list) and (kind in _OF_IMAGES or kind.endswith('labels')):
                paths = [label if isinstance(label, list) else [label] for label in labels]
                names = ['/'.join(map(str, path)) for path in paths]
                yield _Value(name, kind not in _OF_IMAGES, names)


def _image_key(found: list[_Annotation], source: LabelSource) -> str:
    if source.answers.image_column is not None:
        return source.answers.image_column
    texts: dict[str, list[str]] = defaultdict(list)
    for each in found:
        for key, value in each.data.items():
            if isinstance(value, str) and value and key not in _OTHERS:
                texts[key].append(value)
    if not texts:
        raise ValueError(
            f'{source.path}: no task has both an annotation and the name of an image. Predictions '
            'are no labels'
        )
    images = [key for key in texts if all(map(_is_image, texts[key]))]
    if len(images or texts) == 1:
        return next(iter(images or texts))
    raise OpenQuestion(
        'image_column',
        f'{source.path}: which key of {counted(len(found), "annotation")} has the image?',
        {key: f'such as {printable(texts[key][0][:60])}' for key in images or texts},
    )


def _is_image(text: str) -> bool:
    return has_image_suffix(text) or has_image_suffix(text.partition('?d=')[2])


FORMAT = LabelFormat(
    'label-studio', "Label Studio's exports", ('.json', *_TABLES), _recognises, _read
)
