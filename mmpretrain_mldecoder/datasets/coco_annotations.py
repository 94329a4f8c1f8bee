"""Reader of COCO instances JSON into flat arrays; needs neither MMEngine nor MMPretrain.

Only the fields that labels are made of are decoded, straight into typed records. The rest of the
file, the segmentations above all, is checked for syntax and skipped, which takes seconds where a
generic JSON reader takes a minute and gigabytes.
"""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import numpy as np

from ..fileio.json_files import nan_as_null, place_of_nesting, read_json_bytes
from ..fileio.terminal import listed
from .coco_samples import PackedStrings

_EXPECTED = (
    'Expected is COCO instances JSON: an object with the lists images (id, file_name), annotations '
    '(image_id, category_id) and categories (id, name), such as instances_train2017.json; captions '
    'and test-info files have no labels.'
)
LISTS_ABSENT = (
    'its images list the categories that they are known to lack (neg_category_ids, as LVIS has '
    'them), so others are unknown; here they count as absent, in training and mAP'
)
# the most levels that COCO has are {annotations: [{segmentation: [[x, y, ...]]}]}
_LEVELS = 5
_MAX_AREA = float(np.finfo(np.float32).max)
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


# Ids, sizes, numbers, flags and names of categories have one type in nearly all files, and another
# one in files of loose form, which takes longer.
_Id = TypeVar('_Id')
_Size = TypeVar('_Size')
_Area = TypeVar('_Area')
_Flag = TypeVar('_Flag')
_Name = TypeVar('_Name')


class _Image(msgspec.Struct, Generic[_Id, _Size], gc=False):
    id: _Id
    file_name: str
    height: _Size | None = None
    width: _Size | None = None
    neg_category_ids: msgspec.Raw = msgspec.Raw()


class _Category(msgspec.Struct, Generic[_Id, _Name], gc=False):
    id: _Id
    name: _Name


class _Annotation(msgspec.Struct, Generic[_Id, _Area, _Flag], gc=False):
    image_id: _Id
    category_id: _Id
    area: _Area | None = None
    iscrowd: _Flag | None = None
    ignore: _Flag | None = None
    difficult: _Flag | None = None
    is_difficult: _Flag | None = None


class _Instances(msgspec.Struct, Generic[_Id, _Size, _Area, _Flag, _Name]):
    images: list[_Image[_Id, _Size]]
    annotations: list[_Annotation[_Id, _Area, _Flag]]
    categories: list[_Category[_Id, _Name]]


_Strict = _Instances[_Int64, _Int64, float, int | bool, str]
_Loose = _Instances[int | float | str, Any, Any, Any, int | float | str]
_OPTIONAL = (
    dict.fromkeys(('height', 'width'), _Int64)
    | dict(area=float)
    | dict.fromkeys(('iscrowd', 'ignore', 'difficult', 'is_difficult'), int | bool)
)


class _Box(msgspec.Struct, gc=False):
    bbox: msgspec.Raw = msgspec.Raw()


class _Boxes(msgspec.Struct):
    annotations: list[_Box]


@dataclass(frozen=True, eq=False)
class CocoAnnotations:
    """The images, categories and boxes of a COCO JSON with N images, C categories and M boxes.

    ``annotation_areas`` are as ``area`` says (in COCO that of the segment, not of the box); width
    times height of the bbox where the file gives no ``area``; NaN where it gives neither. The same
    holds for all if no ``area`` of the file is above 1, or all are the same. All are NaN if no area
    is then above 1, or each is that of its whole image.
    """

    image_ids: np.ndarray  # (N,) int64 in the order of the file; str objects if not all are ints
    file_names: PackedStrings  # N paths relative to the image folder
    heights: np.ndarray  # (N,) int64, pixels; 0 where the file does not say
    widths: np.ndarray  # (N,) int64, as heights
    category_ids: np.ndarray  # (C,) as image_ids, but ascending
    category_names: tuple[str, ...]  # C different names, in the order of category_ids
    annotation_images: np.ndarray  # (M,) int64, position in image_ids
    annotation_categories: np.ndarray  # (M,) int64, position in category_ids
    annotation_areas: np.ndarray  # (M,) float64, square pixels
    annotation_is_crowd: np.ndarray  # (M,) bool
    annotation_is_difficult: np.ndarray  # (M,) bool: ``ignore``, ``difficult``, ``is_difficult``
    lists_absent: bool  # LVIS: images name the categories that they are known to lack


def read_coco_annotations(path: str | Path) -> CocoAnnotations:
    """Read the images, categories and boxes of a COCO instances JSON.

    Any file of that form will do: COCO 2014 and 2017, or one's own classes. Needed are ``id`` and
    ``file_name`` of images, ``id`` and ``name`` of categories, ``image_id`` and ``category_id`` of
    annotations. Ids may have gaps and any order. They are numbers, also written as ``5.0`` or
    ``"5"``, or text, which is sorted as text; a ``category_id`` may then be the category's name.
    ``NaN`` counts as null, a UTF-8 byte order mark is accepted. Of a key that an object has twice
    the last counts, as everywhere in Python; file names are taken as they are, ``../`` and all.

    Args:
        path (str | Path): The JSON file.

    Returns:
        CocoAnnotations: Flat arrays; the images keep the order of the file, the categories are
        sorted by id.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, compressed, not UTF-8, not JSON or not COCO instances
            JSON, if it lists an image or category twice, or if it has a box of an unknown image or
            category. The message names the file, the place (a byte, or which record) and the fix.
    """
    try:
        data = read_json_bytes(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileNotFoundError(
            f'{path} is not a file: no annotations there. Set `ann_file` (joined with `data_root` '
            'unless absolute); COCO 2017 has annotations/instances_train2017.json and '
            'annotations/instances_val2017.json.'
        ) from error
    data, instances = _decode_instances(path, data)
    images, annotations = instances.images, instances.annotations
    categories = sorted(instances.categories, key=attrgetter('id'))
    for name, records in (('images', images), ('categories', categories)):
        if not records:
            raise ValueError(f'{path}: the list of {name} is empty. {_EXPECTED}')
    image_ids, category_ids = _ids(images), _ids(categories)
    names = tuple(category.name for category in categories)
    _check_unique(path, 'image id', image_ids.tolist())
    _check_unique(path, 'category id', category_ids.tolist())
    _check_unique(path, 'category name', names)
    heights, widths = (_sizes(images, name) for name in ('height', 'width'))
    annotation_images = _resolve(path, annotations, 'image', image_ids)
    areas = _areas(data, annotations)
    if len(areas) and (areas == (heights * widths)[annotation_images]).all():
        areas[:] = np.nan
    difficult = (bool(a.ignore or a.difficult or a.is_difficult) for a in annotations)
    return CocoAnnotations(
        image_ids=image_ids,
        file_names=PackedStrings(map(attrgetter('file_name'), images)),
        heights=heights,
        widths=widths,
        category_ids=category_ids,
        category_names=names,
        annotation_images=annotation_images,
        annotation_categories=_resolve(path, annotations, 'category', category_ids),
        annotation_areas=areas,
        annotation_is_crowd=np.fromiter(map(attrgetter('iscrowd'), annotations), bool),
        annotation_is_difficult=np.fromiter(difficult, bool),
        lists_absent=any(bytes(image.neg_category_ids) for image in images),
    )


def _decode_instances(
    path: str | Path, data: bytes | memoryview
) -> tuple[bytes | memoryview, _Instances]:
    """Return the records, those of a file of loose form with values as in the strict one."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        return data, msgspec.json.decode(data, type=_Strict, strict=False)
    try:
        instances = msgspec.json.decode(data, type=_Loose)
    except msgspec.ValidationError as error:
        where = '' if ' - at `$' in str(error) else ' at the top level'
        raise ValueError(f'{path}: {error}{where}. {_EXPECTED}') from error
    except RecursionError as error:
        raise ValueError(
            f'{path} is nested more than {_LEVELS} deep (byte {place_of_nesting(data, _LEVELS)}), '
            f'deeper than can be read. {_EXPECTED}'
        ) from error
    except msgspec.DecodeError as error:
        plain = nan_as_null(data)
        if plain != data:
            return _decode_instances(path, plain)
        raise ValueError(
            f'{path} ({len(data)} bytes) is not valid JSON: {error}. An incomplete download is the '
            'usual cause: get or write the file again.'
        ) from error
    for record in instances.images + instances.annotations:
        for name in _OPTIONAL.keys() & set(record.__struct_fields__):
            setattr(record, name, _plain(getattr(record, name), _OPTIONAL[name]))
    for category in instances.categories:
        category.name = str(category.name)
    _make_ids_alike(path, instances.images, instances.annotations, 'image')
    _make_ids_alike(path, instances.categories, instances.annotations, 'category')
    return data, instances


def _plain(value: object, kind: type, otherwise: Callable[[object], object] = lambda _: None):
    """Return a number of a kind, as the strict records have it, or what ``otherwise`` makes."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, TypeError):
        return otherwise(value)


def _make_ids_alike(path: str | Path, records: list, annotations: list, what: str) -> None:
    """Make the ids of records and those that annotations refer to all ints, or else all text."""
    ids = [_plain(record.id, _Int64, str) for record in records]
    wanted = [_plain(getattr(each, f'{what}_id'), _Int64, str) for each in annotations]
    known = set(ids)
    by_name = {getattr(record, 'name', id_): id_ for record, id_ in zip(records, ids, strict=True)}
    wanted = [id_ if id_ in known else by_name.get(id_, id_) for id_ in wanted]
    unknown = [i for i, id_ in enumerate(wanted) if id_ not in known]
    if unknown:
        raise _unknown_id(path, what, ids, wanted[unknown[0]], unknown, len(wanted))
    kind = int if all(isinstance(id_, int) for id_ in ids) else str
    for record, id_ in zip(records, ids, strict=True):
        record.id = kind(id_)
    for annotation, id_ in zip(annotations, wanted, strict=True):
        setattr(annotation, f'{what}_id', kind(id_))


def _ids(records: list) -> np.ndarray:
    return np.array([r.id for r in records], object if isinstance(records[0].id, str) else np.int64)


def _sizes(images: list, name: str) -> np.ndarray:
    values = [getattr(image, name) or 0 for image in images]
    return np.array(values, np.int64).clip(min=0)


def _check_unique(path: str | Path, what: str, values: Sequence[int] | Sequence[str]) -> None:
    if len(set(values)) == len(values):
        return
    repeated = [value for value, count in Counter(values).items() if count > 1]
    raise ValueError(
        f'{path}: {what} {repeated[0]!r} occurs more than once ({len(repeated)} such). Labels '
        'would be ambiguous: give each its own and write the file again.'
    )


def _resolve(path: str | Path, annotations: list, what: str, ids: np.ndarray) -> np.ndarray:
    """Return the position in ``ids`` of each annotation's image or category."""
    if ids.dtype == object:
        places = {id_: place for place, id_ in enumerate(ids)}
        found = [places[getattr(annotation, f'{what}_id')] for annotation in annotations]
        return np.array(found, np.int64)
    wanted = np.fromiter(map(attrgetter(f'{what}_id'), annotations), np.int64, len(annotations))
    order = np.argsort(ids)
    # ascending, because looking up ids in any order misses the processor's cache each time
    ascending = np.argsort(wanted)
    place = np.searchsorted(ids[order], wanted[ascending]).clip(max=len(ids) - 1)
    found = np.empty_like(place)
    found[ascending] = order[place]
    unknown = np.flatnonzero(ids[found] != wanted)
    if len(unknown):
        raise _unknown_id(path, what, ids, wanted[unknown[0]], unknown, len(wanted))
    return found


def _unknown_id(
    path: str | Path,
    what: str,
    ids: Sequence,
    wanted: int | str,
    unknown: Sequence[int],
    number: int,
) -> ValueError:
    shown = listed([*map(str, ids)], 100)
    known = 'images' if what == 'image' else f'categories (ids [{shown}])'
    return ValueError(
        f'{path}: annotations[{unknown[0]}] has {what}_id {wanted}, which is not among the '
        f'{known}; {len(unknown)} of {number} annotations are like that. Add what is missing, or '
        'remove these annotations.'
    )


def _areas(data: bytes | memoryview, annotations: list[_Annotation]) -> np.ndarray:
    areas = np.array([annotation.area for annotation in annotations], np.float64)
    # what is negative, nan (written "nan") or infinite, also in the float32 of a sample
    areas[~((areas >= 0) & (areas <= _MAX_AREA))] = np.nan
    known = areas[~np.isnan(areas)]
    # Placeholders are all 0 or all the same; shares of an image are at most 1.
    says_nothing = not (known > 1).any() or (len(known) > 1 and (known == known[0]).all())
    without = np.flatnonzero(np.isnan(areas) | says_nothing)
    if len(without):
        boxes = msgspec.json.decode(data, type=_Boxes, strict=False).annotations
        areas[without] = [_bbox_area(boxes[i].bbox) for i in without.tolist()]
        if not (areas > 1).any():
            areas[:] = np.nan
    return areas


def _bbox_area(bbox: msgspec.Raw) -> float:
    try:
        box = msgspec.json.decode(bbox, type=tuple[float, float, float, float], strict=False)
    except msgspec.DecodeError:
        return np.nan
    _, _, width, height = box
    is_box = width >= 0 and height >= 0 and all(map(math.isfinite, box))
    return width * height if is_box and width * height <= _MAX_AREA else np.nan
