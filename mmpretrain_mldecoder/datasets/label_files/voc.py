"""Pascal VOC: an XML file an image, or where there is none, lists of each class.

Source: host.robots.ox.ac.uk/pascal/VOC (VOCdevkit, development kit), labelImg, Roboflow's export.
XML files are in a folder of their own or beside the images. An image is found by the name of its
XML, as VOC has it, or else by ``filename``::

    <annotation><filename>000012.jpg</filename>
      <object><name>car</name><difficult>0</difficult></object></annotation>

In ``ImageSets/Main/<class>_<split>.txt`` stand 1 if an image shows the class, -1 if not, and 0 if
it shows it in difficult objects only::

    000012  1
    000017 -1
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from .file_content import read_text, read_xml, text_of
from .label_source import FOLDER, LabelFormat, LabelSource
from .label_table import LabelRow, Labels, split_of_word
from .label_values import DIFFICULT, settle_difficult

_LOOKED_AT = 20  # files
_LIST_NAME = re.compile(r'(.+)_(train|val|trainval|test)\.txt')
_LINE = re.compile(r'\s*(\S.*?)\s+(-1|0|1)\s*')
_VALUES = {'1': 1, '-1': 0, '0': DIFFICULT}
_MARKS = {'': False, '0': False, 'false': False, '1': True, 'true': True}


def objects_of(root: Element) -> Iterator[tuple[str, bool]]:
    """Yield the class of each object of an XML file, and whether it is marked as difficult.

    Without ``<difficult>``, as many tools write them, they are not. Raises ``ValueError`` if the
    file is of another kind, or a mark none of 0, 1, false and true.
    """
    if root.tag != 'annotation':
        raise ValueError(f'<{root.tag}> in place of <annotation>')
    for element in root.iter('object'):
        mark = text_of(element, 'difficult').lower()
        if mark not in _MARKS:
            raise ValueError(f'<difficult> is {mark!r}, not 0 or 1')
        yield text_of(element, 'name'), _MARKS[mark]


def _has_xml(source: LabelSource) -> bool:
    """Whether one of the first XML files of a folder is one of VOC."""
    for name in source.names('.xml')[:_LOOKED_AT]:
        with (source.path / name).open('rb') as file:
            if re.search(rb'<annotation[\s>]', file.read(1000)):  # verified="yes" in labelImg
                return True
    return False


def _read_xml_files(source: LabelSource) -> Labels:
    rows = []
    for name in source.names('.xml'):
        root = read_xml(source.path / name)
        stem = name[: -len('.xml')]
        is_there = source.images.find(stem, source.folder)[0] is not None
        image = stem if is_there else text_of(root, 'filename') or stem
        labels: dict[str, int] = {}
        try:
            for label, is_difficult in objects_of(root):
                value = DIFFICULT if is_difficult else 1
                labels[label] = min(value, labels.get(label, value))
        except ValueError as error:
            raise ValueError(
                f'{source.path / name} is not XML of VOC ({error}): correct or remove it'
            ) from error
        rows.append(LabelRow(image, labels))
    return Labels(settle_difficult(rows, source))


def _has_lists(source: LabelSource) -> bool:
    """Whether the first list of a class has such lines, and there is no XML."""
    if any((source.path.parent.parent / 'Annotations').glob('*.xml')):
        return False
    lists = [name for name in source.names('.txt') if _LIST_NAME.fullmatch(name)]
    return any(map(_LINE.fullmatch, _lines(source, lists[0]))) if lists else False


def _read_lists(source: LabelSource) -> Labels:
    values: dict[str, dict[str, int]] = defaultdict(dict)
    splits: dict[str, str] = {}
    for name in source.names('.txt'):
        if match := _LIST_NAME.fullmatch(name):
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


FORMAT = LabelFormat('voc', 'Pascal VOC XML', (FOLDER,), _has_xml, _read_xml_files)
LISTS = LabelFormat('voc-lists', "Pascal VOC's lists", (FOLDER,), _has_lists, _read_lists)
