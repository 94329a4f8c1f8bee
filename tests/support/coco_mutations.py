"""Small COCO instances JSONs, damaged in bytes or in content, and what should be read of each.

The truth comes from ``json`` and pycocotools, after ids that are written in another form (``5.0``,
``"5"``, the name of a category), which our reader takes for ids, are made ids.
"""

import contextlib
import copy
import io
import json
import math
import re

from hypothesis import strategies as st
from pycocotools.coco import COCO

_LISTS = ('images', 'categories', 'annotations')
_FLAGS = ('iscrowd', 'ignore', 'difficult', 'is_difficult')
_DOCUMENT = dict(
    info=dict(year=2017, note='é 猫 😀'),
    images=[
        dict(id=7, file_name='a.jpg', height=20, width=30),
        dict(file_name='Ordner/Katze – 猫.jpg', width=3, height=2, id=-4, license=None),
    ],
    annotations=[
        dict(id=1, image_id=7, category_id=90, area=6.5, iscrowd=0, bbox=[0, 0, 2, 4]),
        dict(id=2, image_id=-4, category_id=3, bbox=[0.5, 1e-3, 2.25, 40], segmentation=[[1, 2.5]]),
        dict(id=3, image_id=7, category_id=3, area=None, iscrowd=1, bbox=[1, 1, 1, 1]),
    ],
    categories=[dict(id=90, name='dog', supercategory='"pets"'), dict(id=3, name='cat')],
)
_BASES = [
    json.dumps(_DOCUMENT).encode(),
    json.dumps(_DOCUMENT, ensure_ascii=False, indent=1).encode('utf-8-sig'),
    json.dumps(_DOCUMENT, ensure_ascii=False, separators=(',', ':')).encode(),
]
_TOKENS = [
    *(b'NaN', b'-Infinity', b'null', b'true', b'-', b'0', b'1e999', b'-0.0', b'1e3', b'.5', b'01'),
    *(b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'[]', b'{}', b'""', b'"nan"', b'"5"', b' '),
    *(b'9223372036854775807', b'9223372036854775808', b'9' * 400, b'"inf"', b'"annotations":[],'),
    *(b'\\ud800', b'\\ud83d\\ude00', b'\\u0000', b'\0', b'\xff', b'\xe9', b'\xef\xbb\xbf', b'\t'),
    *(b'{"a":' * 50, b'[' * 3000, b']' * 3000, b'"area":', b'"id":7,', b'/**/', b'\xc2\xa0'),
]
_VALUES = [
    *(None, True, False, 0, -1, 1, 7, 3, 90, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 1e3),
    *(5.0, 5.5, -3.0, 1e-320, 1e39, 1e300, math.nan, math.inf, -math.inf, '', '7', '3.0', '5.5'),
    *('1e1', 'nan', 'inf', 'null', 'true', 'True', ' 7', '+7', '07', 'x', '\ud800', 'a\0', '../a'),
    *([], {}, [[]], [0, 0, -1, 2], [0, 0, '3', 4.5], [1, 2, 3], ['nan', 0, 1, 'nan'], dict(id=7)),
]
_KEYS = [
    *('id', 'image_id', 'category_id', 'area', 'bbox', 'iscrowd', 'ignore', 'difficult', 'name'),
    *('is_difficult', 'height', 'images', 'x', ''),
]


@st.composite
def damaged_bytes(draw) -> bytes:
    """Change one to four places of a good file."""
    data = draw(st.sampled_from(_BASES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 30, 200])))
        piece = data[start:end]
        new = draw(
            st.one_of(
                st.sampled_from(_TOKENS),
                st.binary(max_size=3),
                st.sampled_from([b'', piece * 2, piece[::-1], bytes(b ^ 1 for b in piece)]),
            )
        )
        data = data[:start] + new + data[end:]
    return data[: draw(st.sampled_from([len(data)] * 9 + [start]))]


@st.composite
def damaged_content(draw) -> bytes:
    """Change one to three values, keys or lists of a good file, which stays JSON."""
    document = copy.deepcopy(_DOCUMENT)
    for _ in range(draw(st.integers(1, 3))):
        holders = [holder for holder in _containers(document) if len(holder)]
        if not holders:
            break
        holder = draw(st.sampled_from(holders))
        place = draw(
            st.sampled_from(list(holder if isinstance(holder, dict) else range(len(holder))))
        )
        action = draw(st.sampled_from(['set', 'set', 'set', 'delete', 'repeat', 'move']))
        if action == 'set':
            holder[place] = copy.deepcopy(draw(st.sampled_from(_VALUES)))
            continue
        kept = copy.deepcopy(holder[place])
        if action != 'repeat':
            del holder[place]
        if isinstance(holder, dict) and action != 'delete':
            holder[draw(st.sampled_from(_KEYS))] = kept
        elif action != 'delete':
            holder.append(kept)
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    return text.encode('utf-8', 'surrogatepass')


def _containers(value) -> list:
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(found for item in inner for found in _containers(item))]


class NotInstances(Exception):
    """The file is not COCO instances JSON with complete and unambiguous labels."""


def truth(data: bytes) -> tuple[dict, bool]:
    """Return what the arrays of the file should hold, and whether our reader may refuse it.

    It may if a key repeats, as it checks the value that does not count, too; where a lone surrogate
    or NaN stands in a field that nobody needs; and numbers in forms that no writer uses.

    Raises:
        NotInstances: If it must refuse.
    """
    truth = _Truth()
    try:
        return truth.of(data), truth.may_be_refused
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        ArithmeticError,
    ) as e:
        raise NotInstances from e


class _Truth:
    def __init__(self):
        self.may_be_refused = False

    def of(self, data: bytes) -> dict:
        text = data.decode('utf-8-sig')
        self.may_be_refused |= bool(re.search(r'\\ud[89a-f]', text, re.IGNORECASE))
        document = json.loads(text, object_pairs_hook=self._pairs, parse_constant=self._constant)
        images, categories, annotations = (document[name] for name in _LISTS)
        for name in _LISTS:
            if not isinstance(document[name], list):
                raise TypeError(name)
        for record in categories:
            if isinstance(record['name'], bool) or not isinstance(
                record['name'], str | int | float
            ):
                raise TypeError('name')
            record['name'] = str(record['name'])
        self._make_ids(images, annotations, 'image_id', {})
        names = {record['name']: record for record in reversed(categories)}
        self._make_ids(categories, annotations, 'category_id', names)
        for image in images:
            for side in ('height', 'width'):
                image[side] = max(self._optional(self._whole, image.get(side)) or 0, 0)
        for i, record in enumerate(annotations):
            record['area'] = self._area(record['area']) if 'area' in record else math.nan
            record |= {flag: self._flag(record.get(flag)) for flag in _FLAGS}
            record['id'] = i  # pycocotools needs one, and different ones; our reader none
        self._fill_areas(annotations, {image['id']: image for image in images})

        coco = COCO()
        coco.dataset = document
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        names = [coco.cats[i]['name'] for i in sorted(coco.cats)]
        file_names = [image['file_name'] for image in images]
        for name in (*names, *file_names):
            name.encode()
        if (
            not (images and categories)
            or len(coco.imgs) < len(images)
            or len(coco.cats) < len(categories)
            or len(set(names)) < len(names)
            or any(record['image_id'] not in coco.imgs for record in annotations)
            or any(record['category_id'] not in coco.cats for record in annotations)
        ):
            raise ValueError('not complete and unambiguous')
        return dict(
            image_ids=[image['id'] for image in images],
            file_names=file_names,
            heights=[image['height'] for image in images],
            widths=[image['width'] for image in images],
            category_ids=sorted(coco.cats),
            category_names=names,
            annotation_images=[record['image_id'] for record in annotations],
            annotation_categories=[record['category_id'] for record in annotations],
            annotation_areas=[record['area'] for record in annotations],
            annotation_is_crowd=[record['iscrowd'] for record in annotations],
            annotation_is_difficult=[
                any(record[flag] for flag in _FLAGS[1:]) for record in annotations
            ],
        )

    def _pairs(self, items: list[tuple]) -> dict:
        content = dict(items)
        self.may_be_refused |= len(content) < len(items)
        return content

    def _constant(self, name: str) -> None:
        return None

    def _number(self, value) -> int | float:
        if isinstance(value, str):
            if not re.fullmatch(r'-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?', value, re.ASCII):
                raise ValueError(value)
            value = json.loads(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(value)
        if not math.isfinite(float(value)):  # OverflowError for a large int
            self.may_be_refused = True  # 1e999, which msgspec takes for no number
            raise ValueError(value)
        return value

    def _whole(self, value) -> int:
        number = self._number(value)
        if number != int(number) or not -(2**63) <= number < 2**63:
            raise ValueError(value)
        self.may_be_refused |= isinstance(number, float) and abs(number) > 2**53
        return int(number)

    def _make_ids(self, records: list, annotations: list, key: str, names: dict) -> None:
        for record in records:
            record['id'] = self._id(record['id'])
        known = {record['id'] for record in records}
        for annotation in annotations:
            wanted = self._id(annotation[key])
            if wanted not in known and wanted in names:
                wanted = names[wanted]['id']
            annotation[key] = wanted
        if any(isinstance(record['id'], str) for record in records):
            for holder, name in [(r, 'id') for r in records] + [(a, key) for a in annotations]:
                holder[name] = str(holder[name])

    def _id(self, value) -> int | str:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise TypeError(value)
        if isinstance(value, float) and math.isinf(value):
            raise ValueError(value)
        whole = self._optional(self._whole, value)
        return str(value) if whole is None else whole

    def _optional(self, read, value):
        with contextlib.suppress(ValueError, TypeError, ArithmeticError):
            return read(value)

    def _flag(self, value) -> bool:
        if isinstance(value, str) and value.lower() in ('true', 'false'):
            return value.lower() == 'true'
        return bool(value if isinstance(value, int) else self._optional(self._whole, value))

    def _area(self, value) -> float:
        area = self._optional(self._number, value)
        return math.nan if area is None or not 0 <= area < 2.0**128 else float(area)

    def _fill_areas(self, annotations: list, images: dict) -> None:
        given = [record['area'] for record in annotations if not math.isnan(record['area'])]
        all_alike = len(given) > 1 and len(set(given)) == 1
        says_nothing = all_alike or not any(area > 1 for area in given)
        for record in annotations:
            if says_nothing or math.isnan(record['area']):
                record['area'] = self._area(self._optional(self._box_area, record.get('bbox')))
        areas = [record['area'] for record in annotations]
        whole = [
            images[record['image_id']]['height'] * images[record['image_id']]['width']
            for record in annotations
            if record['image_id'] in images
        ]
        if not any(area > 1 for area in areas) or areas == whole:
            for record in annotations:
                record['area'] = math.nan

    def _box_area(self, bbox) -> float:
        if not isinstance(bbox, list):
            raise TypeError(bbox)
        _, _, width, height = map(self._number, bbox)
        if width < 0 or height < 0:
            raise ValueError(bbox)
        return float(width) * float(height)
