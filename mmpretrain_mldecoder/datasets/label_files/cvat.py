"""CVAT for images 1.1: ``annotations.xml`` with a tag for each label of an image.

Source: cvat-ai/cvat, xml_format.md; exports in datumaro's tests/assets/cvat_dataset::

    <image id="0" name="a.jpg" subset="Train"><tag label="cat" source="manual"></tag></image>
"""

from ...fileio.terminal import counted
from .file_content import read_xml, text_of
from .label_source import LabelFormat, LabelSource
from .label_table import LabelRow, Labels, split_of_word
from .label_values import boxes_count


def _recognises(source: LabelSource) -> bool:
    return '<annotations>' in source.head[:1000]


def _read(source: LabelSource) -> Labels:
    root = read_xml(source.path)
    images = root.findall('image')
    if not images:
        video = ' It has the tracks of a video' if root.find('track') is not None else ''
        raise ValueError(
            f'{source.path} has no <image> elements.{video}: export as "CVAT for images 1.1"'
        )
    names = [text_of(label, 'name') for label in root.iterfind('meta//labels/label')]
    are_tags = [each.tag == 'tag' for image in images for each in image if each.get('label')]
    labels, boxes = are_tags.count(True), are_tags.count(False)
    with_boxes, notes = boxes_count(labels, boxes, source)
    if attributes := len(root.findall('image/*/attribute')):
        notes.append(f'{counted(attributes, "attribute")} of tags and shapes not used')
    rows = []
    for image in images:
        chosen = [each for each in image if each.tag == 'tag' or with_boxes]
        of_image = {name: 1 for each in chosen if (name := each.get('label', '').strip())}
        split = split_of_word(image.get('subset', ''))
        rows.append(LabelRow(image.get('name', ''), of_image, split))
    return Labels(rows, list(dict.fromkeys(filter(None, names))), notes)


FORMAT = LabelFormat('cvat', 'CVAT XML', ('.xml',), _recognises, _read)
