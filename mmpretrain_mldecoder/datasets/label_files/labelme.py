"""labelme: a JSON file an image, with flags of the image and shapes.

Source: wkentaro/labelme, examples/classification and bbox_detection. A file is beside its image or
names it::

    {"imagePath": "0001.jpg", "imageData": null, "flags": {"cat": true, "dog": false},
     "shapes": [{"label": "person", "shape_type": "rectangle", "points": [[8, 5], [90, 60]]}]}
"""

import msgspec

from .file_content import decode_json
from .label_source import FOLDER, LabelFormat, LabelSource
from .label_table import LabelRow, Labels
from .label_values import boxes_count

_LOOKED_AT = 20  # files
_NO_CLASSES = ('__ignore__', '_background_')  # in labelme's own conversions


class _Shape(msgspec.Struct):
    label: str


class _Annotation(msgspec.Struct):
    imagePath: str
    shapes: list[_Shape]
    flags: dict[str, bool] | None = None


def _annotation(source: LabelSource, name: str) -> _Annotation:
    return decode_json(source.path / name, _Annotation, "labelme's: imagePath, shapes, flags")


def _recognises(source: LabelSource) -> bool:
    """Whether one of the first JSON files of a folder is one of labelme."""
    for name in source.names('.json')[:_LOOKED_AT]:
        try:
            _annotation(source, name)
        except ValueError:
            continue
        return True
    return False


def _read(source: LabelSource) -> Labels:
    files = {name: _annotation(source, name) for name in source.names('.json')}
    flags = sum(list((file.flags or {}).values()).count(True) for file in files.values())
    shapes = sum(len(file.shapes) for file in files.values())
    with_shapes, notes = boxes_count(flags, shapes, source)
    rows = []
    for name, file in files.items():
        stem = name[: -len('.json')]
        is_there = source.images.find(stem, source.folder)[0] is not None
        labels = {flag: int(value) for flag, value in (file.flags or {}).items() if flags}
        labels |= {shape.label: 1 for shape in file.shapes if with_shapes}
        labels = {label: value for label, value in labels.items() if label not in _NO_CLASSES}
        rows.append(LabelRow(stem if is_there else file.imagePath, labels))
    return Labels(rows, notes=notes)


FORMAT = LabelFormat('labelme', "labelme's JSON files", (FOLDER,), _recognises, _read)
