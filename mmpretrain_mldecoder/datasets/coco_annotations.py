"""Reader of COCO instances JSON into flat arrays; needs neither MMEngine nor MMPretrain.

Only the fields that labels are made of are decoded, straight into typed records. The rest of the
file, the segmentations above all, is checked for syntax and skipped, which takes seconds where a
generic JSON reader takes a minute and gigabytes.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from ..fileio.json_files import place_of_nesting, read_json_bytes
from .coco_samples import PackedStrings

_EXPECTED = (
    'Expected is COCO instances JSON: an object with the lists images (id, file_name, height, '
    'width), annotations (image_id, category_id, area or bbox) and categories (id, name), such as '
    'instances_train2017.json; captions and test-info files have no labels.'
)
# the most levels that COCO has are {annotations: [{segmentation: [[x, y, ...]]}]}
_LEVELS = 5
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Image(msgspec.Struct, gc=False):
    id: _Int64
    file_name: str
    height: _Int64
    width: _Int64


class _Category(msgspec.Struct, gc=False):
    id: _Int64
    name: str


class _Annotation(msgspec.Struct, gc=False):
    image_id: _Int64
    category_id: _Int64
    area: float | None = None
    iscrowd: int | bool = 0


class _Instances(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class _Box(msgspec.Struct, gc=False):
    bbox: msgspec.Raw = msgspec.Raw()


class _Boxes(msgspec.Struct):
    annotations: list[_Box]


@dataclass(frozen=True, eq=False)
class CocoAnnotations:
    """The images, categories and boxes of a COCO JSON with N images, C categories and M boxes.

    ``annotation_areas`` are as ``area`` says (in COCO that of the segment, not of the box); width
    times height of the bbox where the file gives no ``area``.
    """

    image_ids: np.ndarray  # (N,) int64, in the order of the file
    file_names: PackedStrings  # N paths relative to the image folder
    heights: np.ndarray  # (N,) int64, pixels
    widths: np.ndarray  # (N,) int64, pixels
    category_ids: np.ndarray  # (C,) int64, ascending
    category_names: tuple[str, ...]  # C different names, in the order of category_ids
    annotation_images: np.ndarray  # (M,) int64, position in image_ids
    annotation_categories: np.ndarray  # (M,) int64, position in category_ids
    annotation_areas: np.ndarray  # (M,) float64, square pixels
    annotation_is_crowd: np.ndarray  # (M,) bool


def read_coco_annotations(path: str | Path) -> CocoAnnotations:
    """Read the images, categories and boxes of a COCO instances JSON.

    Any file of that form will do: COCO 2014 and 2017, or one's own classes. Ids may have gaps and
    any order, within 64 bits. Numbers may be written as ``5.0`` or ``"5"``; a UTF-8 byte order mark
    is accepted. Of a key that an object has twice the last counts, as everywhere in Python; file
    names are taken as they are, ``../`` and all.

    Args:
        path (str | Path): The JSON file.

    Returns:
        CocoAnnotations: Flat arrays; the images keep the order of the file, the categories are
        sorted by id.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, compressed, not UTF-8, not JSON (``NaN`` is not) or not
            COCO instances JSON, if it lists an image or category twice, or if it has a box of an
            unknown image or category, or an area that is negative or not finite. The message names
            the file, the place (a byte, or which record) and the fix.
    """
    try:
        data = read_json_bytes(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileNotFoundError(
            f'{path} is not a file: no annotations there. Set `ann_file` (joined with `data_root` '
            'unless absolute); COCO 2017 has annotations/instances_train2017.json and '
            'annotations/instances_val2017.json.'
        ) from error
    instances: _Instances = _decode(path, data, _Instances)
    images, annotations = instances.images, instances.annotations
    categories = sorted(instances.categories, key=attrgetter('id'))
    for name, records in (('images', images), ('categories', categories)):
        if not records:
            raise ValueError(f'{path}: the list of {name} is empty. {_EXPECTED}')

    image_ids = _column(images, 'id', np.int64)
    category_ids = _column(categories, 'id', np.int64)
    names = tuple(category.name for category in categories)
    _check_unique(path, 'image id', image_ids.tolist())
    _check_unique(path, 'category id', category_ids.tolist())
    _check_unique(path, 'category name', names)
    return CocoAnnotations(
        image_ids=image_ids,
        file_names=PackedStrings(map(attrgetter('file_name'), images)),
        heights=_column(images, 'height', np.int64),
        widths=_column(images, 'width', np.int64),
        category_ids=category_ids,
        category_names=names,
        annotation_images=_resolve(path, annotations, 'image', image_ids),
        annotation_categories=_resolve(path, annotations, 'category', category_ids),
        annotation_areas=_areas(path, data, annotations),
        annotation_is_crowd=_column(annotations, 'iscrowd', bool),
    )


def _decode(path: str | Path, data: bytes | memoryview, content: type):
    try:
        return msgspec.json.decode(data, type=content, strict=False)
    except msgspec.ValidationError as error:
        where = '' if ' - at `$' in str(error) else ' at the top level'
        raise ValueError(f'{path}: {error}{where}. {_EXPECTED}') from error
    except RecursionError as error:
        raise ValueError(
            f'{path} is nested more than {_LEVELS} deep (byte {place_of_nesting(data, _LEVELS)}), '
            f'deeper than can be read. {_EXPECTED}'
        ) from error
    except msgspec.DecodeError as error:
        raise ValueError(
            f'{path} ({len(data)} bytes) is not valid JSON: {error}. An incomplete download or a '
            'writer that puts NaN or Infinity are the usual causes: get or write the file again.'
        ) from error


def _column(records: Sequence, name: str, dtype: type) -> np.ndarray:
    return np.fromiter(map(attrgetter(name), records), dtype, len(records))


def _check_unique(path: str | Path, what: str, values: Sequence[int] | Sequence[str]) -> None:
    if len(set(values)) == len(values):
        return
    repeated = [value for value, count in Counter(values).items() if count > 1]
    raise ValueError(
        f'{path}: {what} {repeated[0]!r} occurs more than once ({len(repeated)} such). Labels '
        'would be ambiguous: give each its own and write the file again.'
    )


def _resolve(
    path: str | Path, annotations: list[_Annotation], what: str, ids: np.ndarray
) -> np.ndarray:
    """Return the position in ``ids`` of each annotation's image or category."""
    wanted = _column(annotations, f'{what}_id', np.int64)
    order = np.argsort(ids)
    # ascending, because looking up ids in any order misses the processor's cache each time
    ascending = np.argsort(wanted)
    place = np.searchsorted(ids[order], wanted[ascending]).clip(max=len(ids) - 1)
    found = np.empty_like(place)
    found[ascending] = order[place]
    unknown = np.flatnonzero(ids[found] != wanted)
    if len(unknown):
        first = unknown[0]
        shown = ', '.join(map(str, ids[:100].tolist())) + (', ...' if len(ids) > 100 else '')
        listed = 'images' if what == 'image' else f'categories (ids [{shown}])'
        raise ValueError(
            f'{path}: annotations[{first}] has {what}_id {wanted[first]}, which is not among the '
            f'{listed}; {len(unknown)} of {len(wanted)} annotations are like that. Add what is '
            'missing, or remove these annotations.'
        )
    return found


def _areas(
    path: str | Path, data: bytes | memoryview, annotations: list[_Annotation]
) -> np.ndarray:
    given = [annotation.area for annotation in annotations]
    without = [i for i, area in enumerate(given) if area is None]
    if without:
        boxes = _decode(path, data, _Boxes).annotations
        for i in without:
            given[i] = _bbox_area(path, i, boxes[i].bbox)
    areas = np.array(given, np.float64)
    # what is negative, nan (written "nan") or infinite, also in the float32 of a sample
    wrong = np.flatnonzero(~((areas >= 0) & (areas <= np.finfo(np.float32).max)))
    if len(wrong):
        raise ValueError(
            f'{path}: annotations[{wrong[0]}] has the area {areas[wrong[0]]:g}; {len(wrong)} of '
            f'{len(areas)} annotations have one that is negative, too large or no number. Write 0 '
            'where it is not known, or leave it out where there is a bbox.'
        )
    return areas


def _bbox_area(path: str | Path, index: int, bbox: msgspec.Raw) -> float:
    try:
        box = msgspec.json.decode(bbox, type=tuple[float, float, float, float], strict=False)
    except msgspec.DecodeError as error:
        raise ValueError(
            f'{path}: annotations[{index}] has neither an `area` nor a bbox of the form [x, y, '
            'width, height]. Add one of them.'
        ) from error
    _, _, width, height = box
    if width < 0 or height < 0 or not all(map(math.isfinite, box)):
        raise ValueError(
            f'{path}: annotations[{index}] has the bbox {list(box)}, from which its area cannot be '
            'computed. Write [x, y, width, height] (not the other corner), or an `area`.'
        )
    return width * height
