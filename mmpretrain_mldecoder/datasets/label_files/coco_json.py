"""COCO instances JSON.

Source: cocodataset.org/#format-data. A class is unknown where an image shows it in boxes with
``ignore`` or ``difficult`` only, as in :class:`.COCOMultiLabel`; crowd boxes are labels.
"""

import re
from typing import Any

from ..coco_annotations import LISTS_ABSENT, read_coco_annotations
from .edits import Changes, edit_json
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels

_LISTS = ('images', 'annotations', 'categories')
_HEAD = 10_000  # bytes of a list


def _recognises(source: LabelSource) -> bool:
    """Whether it has the lists of COCO, and labels in them.

    Captions have no categories, test-info has no annotations, and those of panoptic masks have
    none of their own.
    """
    content = source.json
    if not isinstance(content, dict) or not content.keys() >= {*_LISTS}:
        return False
    heads = {name: memoryview(content[name])[:_HEAD].tobytes() for name in _LISTS}
    is_filled = all(re.match(rb'\[\s*\{', head) for head in heads.values())
    return is_filled and b'"segments_info"' not in heads['annotations']


def _read(source: LabelSource) -> Labels:
    coco = read_coco_annotations(source.path)
    of_images: list[dict[str, int]] = [{} for _ in coco.image_ids]
    fields = (coco.annotation_images, coco.annotation_categories, coco.annotation_is_difficult)
    for image, category, is_difficult in zip(*(each.tolist() for each in fields), strict=True):
        name = coco.category_names[category]
        if is_difficult:
            of_images[image].setdefault(name, -1)
        else:
            of_images[image][name] = 1
    rows = [LabelRow(*row) for row in zip(coco.file_names, of_images, strict=True)]
    notes = [f'{source.path}: {LISTS_ABSENT}'] if coco.lists_absent else []
    return Labels(rows, coco.category_names, notes)


def _edit(source: LabelSource, changes: Changes) -> str:
    """Add labels as annotations without a box; remove all annotations of those to remove."""

    def edit(content: dict[str, Any]) -> None:
        ids = {str(each['name']).strip(): each['id'] for each in content['categories']}
        by_name = {name: key for name, key in ids.items() if name not in ids.values()}
        removed, added = set(), []
        for image in content['images']:
            for name, value in changes(image['file_name']).items():
                (added.append if value else removed.add)((image['id'], ids[name]))
        before, kept = content['annotations'], []
        for each in before:
            category = by_name.get(each['category_id'], each['category_id'])
            if (each['image_id'], category) not in removed:
                kept.append(each)
        numbers = (each['id'] for each in before if isinstance(each.get('id'), int))
        first = max(numbers, default=0) + 1
        content['annotations'] = kept + [
            dict(id=first + i, image_id=image, category_id=category)
            for i, (image, category) in enumerate(added)
        ]

    return edit_json(source.text(), edit)


FORMAT = LabelFormat('coco', 'COCO JSON', ('.json',), _recognises, _read, _edit)
