"""Pascal VOC: an XML file an image, in a folder of their own or beside the images.

Source: host.robots.ox.ac.uk/pascal/VOC (VOCdevkit), labelImg, Roboflow's export. An image is found
by the name of its XML, as VOC has it, or else by ``filename``. Splits are those of
``ImageSets/Main/{train,val,test}.txt`` beside ``Annotations``, if there are such lists::

    <annotation><filename>000012.jpg</filename>
      <object><name>car</name><difficult>0</difficult></object></annotation>
"""

import re
from pathlib import Path

from ...fileio.terminal import printable
from .file_content import read_text, read_xml, text_of
from .label_source import FOLDER, LabelFormat, LabelSource
from .label_table import SPLITS, LabelRow, Labels
from .label_values import DIFFICULT, settle_difficult

_LOOKED_AT = 20  # files


def _recognises(source: LabelSource) -> bool:
    """Whether one of the first XML files of a folder is one of VOC."""
    for name in source.names('.xml')[:_LOOKED_AT]:
        with (source.path / name).open('rb') as file:
            if re.search(rb'<annotation[\s>]', file.read(1000)):  # verified="yes" in labelImg
                return True
    return False


def _read(source: LabelSource) -> Labels:
    names = source.names('.xml')
    splits, notes = _splits(source.path, {name[: -len('.xml')] for name in names})
    rows = []
    for name in names:
        root = read_xml(source.path / name)
        stem = name[: -len('.xml')]
        is_there = source.images.find(stem, source.folder)[0] is not None
        image = stem if is_there else text_of(root, 'filename') or stem
        labels: dict[str, int] = {}
        for element in root.iter('object'):
            label = text_of(element, 'name')
            value = DIFFICULT if text_of(element, 'difficult').lower() in ('1', 'true') else 1
            labels[label] = min(value, labels.get(label, value))
        rows.append(LabelRow(image, labels, splits.get(stem, '')))
    return Labels(settle_difficult(rows, source), notes=notes)


def _splits(annotations: Path, known: set[str]) -> tuple[dict[str, str], list[str]]:
    """Return the split of each image that VOC's lists have, and notes."""
    found: dict[str, str] = {}
    notes = []
    for split in SPLITS:
        path = annotations.parent / 'ImageSets' / 'Main' / f'{split}.txt'
        ids = [*filter(None, map(str.strip, read_text(path).split('\n')))] if path.is_file() else []
        for what, those in {
            'without an XML': [each for each in ids if each not in known],
            'in a list of another split, too': [each for each in ids if each in found],
        }.items():
            if those:
                notes.append(f'{path}: {len(those):,} of {len(ids):,} lines are names {what}, ')
                notes[-1] += f'first: {printable(those[0])}'
        found |= dict.fromkeys(ids, split)
    return found, notes


FORMAT = LabelFormat('voc', 'Pascal VOC XML', (FOLDER,), _recognises, _read)
