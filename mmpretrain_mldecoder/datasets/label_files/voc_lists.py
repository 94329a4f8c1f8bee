"""Pascal VOC's lists of each class, ``ImageSets/Main/<class>_<split>.txt``, where there is no XML.

Source: host.robots.ox.ac.uk/pascal/VOC, development kit: 1 if an image shows the class, -1 if not,
0 if it shows it in difficult objects only::

    000012  1
    000017 -1
"""

import re
from collections import defaultdict

from .file_content import read_text
from .label_source import FOLDER, LabelFormat, LabelSource
from .label_table import LabelRow, Labels, split_of_word
from .label_values import DIFFICULT, settle_difficult

_NAME = re.compile(r'(.+)_(train|val|trainval|test)\.txt')
_LINE = re.compile(r'\s*(\S+)\s+(-1|0|1)\s*')
_VALUES = {'1': 1, '-1': 0, '0': DIFFICULT}


def _recognises(source: LabelSource) -> bool:
    """Whether the first list of a class has such lines, and there is no XML."""
    if (source.path.parent.parent / 'Annotations').is_dir():
        return False
    lists = [name for name in source.names('.txt') if _NAME.fullmatch(name)]
    return any(map(_LINE.fullmatch, _lines(source, lists[0]))) if lists else False


def _read(source: LabelSource) -> Labels:
    values: dict[str, dict[str, int]] = defaultdict(dict)
    splits: dict[str, str] = {}
    for name in source.names('.txt'):
        if match := _NAME.fullmatch(name):
            for number, line in enumerate(_lines(source, name), 1):
                if not (found := _LINE.fullmatch(line)):
                    raise ValueError(
                        f'{source.path / name}: line {number} is {line[:60]!r}. Expected is the '
                        'name of an image and 1, 0 or -1'
                    )
                values[found[1]][match[1]] = _VALUES[found[2]]
                splits[found[1]] = splits.get(found[1]) or split_of_word(match[2])
    rows = [LabelRow(image, labels, splits[image]) for image, labels in values.items()]
    return Labels(settle_difficult(rows, source))


def _lines(source: LabelSource, name: str) -> list[str]:
    return [line for line in read_text(source.path / name).splitlines() if line.strip()]


FORMAT = LabelFormat('voc-lists', "Pascal VOC's lists", (FOLDER,), _recognises, _read)
