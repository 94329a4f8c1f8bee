"""Pascal VOC: an XML file an image, in a folder of their own or beside the images.

Source: host.robots.ox.ac.uk/pascal/VOC (VOCdevkit), labelImg, Roboflow's export. An image is found
by the name of its XML, as VOC has it, or else by ``filename``. Splits are those of
``ImageSets/Main/{train,val,test}.txt`` beside ``Annotations``, if there are such lists::

    <annotation><filename>000012.jpg</filename>
      <object><name>car</name><difficult>0</difficult></object></annotation>
"""

from pathlib import Path

from .file_content import read_text, read_xml, text_of
from .label_source import FOLDER, LabelFormat, LabelSource
from .label_table import SPLITS, LabelRow, Labels
from .label_values import DIFFICULT, settle_difficult


def _recognises(source: LabelSource) -> bool:
    """Whether the first XML file of a folder is one of VOC."""
    for name in source.names('.xml')[:1]:
        with (source.path / name).open('rb') as file:
            return b'<annotation>' in file.read(1000)
    return False


def _read(source: LabelSource) -> Labels:
    splits = _splits(source.path)
    rows = []
    for name in source.names('.xml'):
        root = read_xml(source.path / name)
        stem = name[: -len('.xml')]
        is_there = source.images.find(stem, source.folder)[0] is not None
        image = stem if is_there else text_of(root, 'filename') or stem
        labels: dict[str, int] = {}
        for element in root.iter('object'):
            label = text_of(element, 'name')
            value = DIFFICULT if text_of(element, 'difficult') in ('1', 'true') else 1
            labels[label] = min(value, labels.get(label, value))
        rows.append(LabelRow(image, labels, splits.get(stem, '')))
    return Labels(settle_difficult(rows, source))


def _splits(annotations: Path) -> dict[str, str]:
    """Return the split of each image that VOC's lists have."""
    found = {}
    for split in SPLITS:
        path = annotations.parent / 'ImageSets' / 'Main' / f'{split}.txt'
        if path.is_file():
            found |= dict.fromkeys(map(str.strip, read_text(path).split('\n')), split)
    return found


FORMAT = LabelFormat('voc', 'Pascal VOC XML', (FOLDER,), _recognises, _read)
