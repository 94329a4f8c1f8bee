"""Label Studio's exports: JSON, JSON-MIN and CSV; the labels are ``choices``.

Source: HumanSignal/label-studio, docs/source/guide/export.md; label-studio-converter. Cancelled
annotations, predictions and tasks without an annotation are skipped::

    [{"data": {"image": "/data/upload/1/ab12cd34-a.jpg"},
      "annotations": [{"result": [{"from_name": "tags", "type": "choices",
                                   "value": {"choices": ["cat", "sofa"]}}]}]}]
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from ...errors import OpenQuestion
from ...fileio.terminal import printable
from .answers import NO, UNKNOWN, Answers
from .boxes import boxes_count, boxes_note
from .csv_table import read_csv
from .image_names import has_image_suffix
from .label_source import LabelFormat, LabelSource, decode_json
from .label_table import LabelRow, Labels

_EXPECTED = "Label Studio's JSON: a list of tasks"
_OF_ANNOTATION = {'annotator', 'annotation_id'}
_OTHERS = {'id', 'created_at', 'updated_at', 'lead_time', 'agreement', *_OF_ANNOTATION}
_CHOICES = 'choices'
_TARGETS = {'yes': 1, NO: 0, UNKNOWN: -1}


class _Result(NamedTuple):
    task: str  # the same for all annotations of an image
    data: dict[str, Any]  # of the task: the image among others
    values: list[tuple[str, str, list[str]]]  # from_name, type, labels


def recognises(source: LabelSource) -> bool:
    """Whether it is a list of tasks, or has the columns of annotations."""
    if source.path.suffix.lower() == '.csv':
        return bool(source.lines) and all(name in source.lines[0] for name in _OF_ANNOTATION)
    of_task = 'data' in source.keys and source.keys & {'annotations', 'completions'}
    return isinstance(source.json, list) and bool(of_task or source.keys >= _OF_ANNOTATION)


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    if source.path.suffix.lower() == '.csv':
        table = read_csv(source.path, answers)
        rows = zip(*table.columns, strict=True)
        found = [_flat(dict(zip(table.header, row, strict=True))) for row in rows]
        skipped = 0
    else:
        tasks = decode_json(source.path, list[dict[str, Any]], _EXPECTED)
        of_tasks = [
            list(_annotations(task, place)) if 'data' in task else [_flat(task)]
            for place, task in enumerate(tasks)
        ]
        skipped = sum(not each for each in of_tasks)
        found = [each for of_task in of_tasks for each in of_task]
    image = _image_key(found, source, answers)
    found = [_without(each, image) for each in found]
    counts = Counter(kind == _CHOICES for each in found for _, kind, _ in each.values)
    with_boxes = boxes_count(counts[True], counts[False], source.path, answers)
    notes = boxes_note(counts[True], counts[False], with_boxes)
    if skipped:
        notes.append(f'{skipped:,} tasks without an annotation are skipped')
    chosen = _from_names(found, with_boxes, source, answers)
    by_task: dict[str, list[_Result]] = defaultdict(list)
    for each in found:
        by_task[each.task].append(each)
    rows, differing = [], 0
    for of_task in by_task.values():
        given = Counter(
            label
            for each in of_task
            for label in {
                label
                for name, kind, labels in each.values
                if name in chosen and (kind == _CHOICES or with_boxes)
                for label in labels
            }
        )
        some = [label for label, count in given.items() if count < len(of_task)]
        differing += bool(some)
        labels = dict.fromkeys(given, 1)
        if some and answers.annotators is not None:
            labels |= dict.fromkeys(some, _TARGETS[answers.annotators])
        rows.append(LabelRow(str(of_task[0].data.get(image, '')), labels))
    if differing and answers.annotators is None:
        raise OpenQuestion(
            'annotators',
            f'{source.path}: the annotators of {differing:,} images differ. Is a label one that '
            'only some of them gave?',
            {'yes': 'one annotator is enough', NO: 'all have to agree', UNKNOWN: 'it is unknown'},
        )
    return Labels(rows, notes=notes)


def _annotations(task: dict[str, Any], place: int) -> Iterable[_Result]:
    for annotation in task.get('annotations', task.get('completions', ())):
        if annotation.get('was_cancelled') or annotation.get('skipped'):
            continue
        values = []
        for result in annotation.get('result', ()):
            kind = result.get('type', '')
            labels = result.get('value', {}).get(kind)
            if isinstance(labels, list) and (kind == _CHOICES or kind.endswith('labels')):
                values.append((result.get('from_name', ''), kind, list(map(str, labels))))
        yield _Result(f'{place}', task['data'], values)


def _flat(record: dict[str, Any]) -> _Result:
    """Return an annotation of JSON-MIN or CSV, where names of tags are keys beside the data's."""
    values = [
        (name, kind, labels)
        for name, value in record.items()
        if name not in _OTHERS
        for kind, labels in _flat_values(value)
    ]
    return _Result(str(record.get('id')), record, values)


def _flat_values(value: object) -> Iterator[tuple[str, list[str]]]:
    """Yield types and labels: a name, an object with ``choices`` or shapes, or a list of these."""
    if isinstance(value, str) and value[:1] in ('[', '{'):  # in CSV
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and each:
            yield _CHOICES, [each]
        elif isinstance(each, dict):
            for kind, labels in each.items():
                if (kind == _CHOICES or kind.endswith('labels')) and isinstance(labels, list):
                    yield kind, list(map(str, labels))


def _without(result: _Result, image: str) -> _Result:
    return result._replace(values=[each for each in result.values if each[0] != image])


def _image_key(found: list[_Result], source: LabelSource, answers: Answers) -> str:
    if answers.image_column is not None:
        return answers.image_column
    texts: dict[str, list[str]] = defaultdict(list)
    for each in found:
        for key, value in each.data.items():
            if isinstance(value, str) and value and key not in _OTHERS:
                texts[key].append(value)
    images = [key for key in texts if all(map(_is_image, texts[key]))]
    if len(images or texts) == 1:
        return next(iter(images or texts))
    raise OpenQuestion(
        'image_column',
        f'{source.path}: which key of the {len(found):,} annotations has the image?',
        {key: f'such as {printable(texts[key][0][:60])}' for key in images or texts},
    )


def _is_image(text: str) -> bool:
    return has_image_suffix(text) or has_image_suffix(text.partition('?d=')[2])


def _from_names(
    found: list[_Result], with_boxes: bool, source: LabelSource, answers: Answers
) -> tuple[str, ...]:
    counts = Counter(
        name for each in found for name, kind, _ in each.values if kind == _CHOICES or with_boxes
    )
    if answers.label_columns is not None:
        return answers.label_columns
    if len(counts) > 1:
        raise OpenQuestion(
            'label_columns',
            f'{source.path} has labels under several names. Which are those to learn?',
            {
                **{(name,): f'{count:,} times' for name, count in counts.items()},
                tuple(counts): 'all of them',
            },
        )
    return tuple(counts)


FORMAT = LabelFormat('label-studio', "Label Studio's exports", recognises, read)
