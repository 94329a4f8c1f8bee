"""Pascal VOC: an XML file an image, in a folder of their own or beside the images.

Source: host.robots.ox.ac.uk/pascal/VOC (VOCdevkit), labelImg, Roboflow's export. An image is found
by the name of its XML, as VOC has it, or else by ``filename``. Splits are those of
``ImageSets/Main/{train,val,test}.txt`` beside ``Annotations``, if there are such lists::

    <annotation><filename>000012.jpg</filename>
      <object><name>car</name><difficult>0</difficult></object></annotation>
"""

from pathlib import Path

from ...errors import OpenQuestion
from .answers import NO, UNKNOWN, Answers
from .label_source import LabelFormat, LabelSource, read_text
from .label_table import SPLITS, LabelRow, Labels
from .xml_file import read_xml, text_of

_TARGETS = {'yes': 1, NO: 0, UNKNOWN: -1}
_MEANINGS = {
    'yes': 'they are labels',
    NO: "no, the class counts as absent (MMPretrain's training)",
    UNKNOWN: 'the class is unknown (the official test, MMPretrain)',
}


def recognises(source: LabelSource) -> bool:
    """Whether the first XML file of a folder is one of VOC."""
    first = next((name for name in source.files if name.lower().endswith('.xml')), None)
    if first is None:
        return False
    with (source.path / first).open('rb') as file:
        return b'<annotation>' in file.read(1000)


def read(source: LabelSource, answers: Answers) -> Labels:
    """Read it, see :class:`.LabelFormat`."""
    splits = _splits(source.path)
    rows: list[LabelRow] = []
    doubtful = 0
    for name in source.files:
        if not name.lower().endswith('.xml'):
            continue
        root = read_xml(source.path / name)
        stem = name[: -len('.xml')]
        difficult: dict[str, bool] = {}  # whether all of its objects are
        for element in root.iter('object'):
            is_difficult = text_of(element, 'difficult') in ('1', 'true')
            label = text_of(element, 'name')
            difficult[label] = difficult.get(label, True) and is_difficult
        only = [label for label, is_difficult in difficult.items() if is_difficult]
        doubtful += len(only)
        labels = dict.fromkeys(difficult, 1)
        if only and answers.difficult is not None:
            labels |= dict.fromkeys(only, _TARGETS[answers.difficult])
        is_there = source.images.find(stem, source.folder)[0] is not None
        image = stem if is_there else text_of(root, 'filename') or stem
        rows.append(LabelRow(image, labels, splits.get(stem, '')))
    if doubtful and answers.difficult is None:
        raise OpenQuestion(
            'difficult',
            f'{source.path}: {doubtful:,} times an image shows a class in objects marked as '
            'difficult only. Are these labels?',
            _MEANINGS,
        )
    return Labels(rows)


def _splits(annotations: Path) -> dict[str, str]:
    """Return the split of each image that VOC's lists have."""
    found = {}
    for split in SPLITS:
        path = annotations.parent / 'ImageSets' / 'Main' / f'{split}.txt'
        if path.is_file():
            found |= dict.fromkeys(map(str.strip, read_text(path).split('\n')), split)
    return found


FORMAT = LabelFormat('voc', 'Pascal VOC XML', recognises, read)
