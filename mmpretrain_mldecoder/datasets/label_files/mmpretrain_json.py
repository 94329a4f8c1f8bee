"""MMPretrain's JSON of ``MultiLabelDataset``.

Source: open-mmlab/mmpretrain, mmpretrain/datasets/multi_label.py and tests/data/dataset. A
``gt_score`` has 1, 0 and -1 for unknown, as in MMPretrain's metrics::

    {"metainfo": {"classes": ["car", "tree"]},
     "data_list": [{"img_path": "1.jpg", "gt_label": [0, 1]}]}
"""

from typing import Any

import msgspec

from .edits import Changes, edit_json
from .file_content import decode_json
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels
from .label_values import names_at, refuse_vectors

_EXPECTED = "MMPretrain's JSON: metainfo, and data_list with img_path and gt_label"


class _Sample(msgspec.Struct):
    img_path: str
    gt_label: int | list[int] = []
    gt_score: list[float] | None = None


class _Category(msgspec.Struct):
    category_name: str


class _Info(msgspec.Struct):
    classes: list[str | int] = []
    CLASSES: list[str | int] = []
    categories: list[_Category] = []


class _Content(msgspec.Struct):
    data_list: list[_Sample]
    metainfo: _Info = msgspec.field(default_factory=_Info)


def _recognises(source: LabelSource) -> bool:
    return 'data_list' in source.keys


def _read(source: LabelSource) -> Labels:
    content = decode_json(source.path, _Content, _EXPECTED)
    info = content.metainfo
    names = info.classes or info.CLASSES or [each.category_name for each in info.categories]
    indices = [
        [sample.gt_label] if isinstance(sample.gt_label, int) else sample.gt_label
        for sample in content.data_list
    ]
    are_numbers = not names
    if are_numbers:
        names = range(max((index + 1 for of_image in indices for index in of_image), default=0))
    elif all(len(of_image) == len(names) for of_image in indices):
        refuse_vectors([[*map(str, of_image)] for of_image in indices], source)
    names = [*map(str, names)]
    rows = []
    for place, (sample, of_image) in enumerate(zip(content.data_list, indices, strict=True)):
        where = f'{source.path}: data_list[{place}] has gt_label'
        labels = dict.fromkeys(names_at(of_image, names, where), 1)
        if sample.gt_score is not None:
            if len(sample.gt_score) != len(names) or not {*sample.gt_score} <= {1, 0, -1}:
                raise ValueError(
                    f'{source.path}: data_list[{place}] has gt_score {sample.gt_score}: give 1, 0 '
                    f'or -1 for each class ({len(names)})'
                )
            labels = dict(zip(names, map(int, sample.gt_score), strict=True))
        rows.append(LabelRow(sample.img_path, labels))
    return Labels(rows, () if are_numbers else names, are_numbers=are_numbers)


def _edit(source: LabelSource, changes: Changes) -> str:
    place = {name.strip(): i for i, name in enumerate(_read(source).classes)}

    def edit(content: dict[str, Any]) -> None:
        for sample in content['data_list']:
            changed = changes(sample['img_path'])
            of_image = {place[k] if place else int(k): value for k, value in changed.items()}
            labels = sample.get('gt_label', [])
            labels = {labels} if isinstance(labels, int) else {*labels}
            if of_image:
                labels -= of_image.keys()
                sample['gt_label'] = sorted(labels | {k for k, v in of_image.items() if v})
            if sample.get('gt_score') is not None:
                for index, value in of_image.items():
                    sample['gt_score'][index] = value

    return edit_json(source.text(), edit)


FORMAT = LabelFormat('mmpretrain', "MMPretrain's JSON", ('.json',), _recognises, _read, _edit)
