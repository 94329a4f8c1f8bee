import cv2
import numpy as np
import pytest
from matplotlib.text import Text

from mmpretrain_mldecoder.visualization.augmentation_sheet import (
    AugmentedImage,
    augmentation_sheet,
)


def image(title='a.jpg', labels=('cat',), tiles=3, size=(60, 80)) -> AugmentedImage:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 0), (0, 90, 90)][:tiles]
    arrays = {f'tile {i}': np.full((*size, 3), c, np.uint8) for i, c in enumerate(colours)}
    return AugmentedImage(title, labels, arrays)


def test_tiles_are_shown_in_order_and_colours(tmp_path):
    out = augmentation_sheet([image()], 'a caption', tmp_path / 'sheet.png')
    sheet = cv2.imread(str(out)).astype(int)
    columns = [
        np.flatnonzero((np.abs(sheet - colour).sum(axis=2) < 9).any(axis=0))
        for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))
    ]
    assert columns[0].max() < columns[1].min() < columns[1].max() < columns[2].min()


@pytest.mark.parametrize('tiles, groups', [(1, 6), (3, 2), (5, 1)])
def test_a_row_has_as_many_images_as_fit(tiles, groups, tmp_path, figures):
    augmentation_sheet([image(tiles=tiles) for _ in range(7)], '', tmp_path / 'sheet.png')
    tops = [round(axes.get_position().y1, 4) for axes in figures[0].axes]
    assert len(tops) == 7 * tiles
    assert tops.count(max(tops)) == groups * tiles


def test_all_labels_are_written_and_nothing_overlaps(tmp_path, figures):
    labels = [f'label number {i}' for i in range(60)]
    images = [image(labels=labels), image('b.jpg', ()), image('c' * 300, ['$x_1$'])]
    augmentation_sheet(images, 'caption', tmp_path / 'sheet.png')
    (figure,) = figures
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    written = ' '.join(text.get_text() for text in texts).replace('\n', ' ')
    assert all(label in written for label in [*labels, 'no label', '$x_1$'])
    boxes = [text.get_window_extent() for text in texts]
    boxes += [axes.get_window_extent() for axes in figure.axes]
    for i, first in enumerate(boxes):
        assert first.x0 >= 0 and first.x1 <= figure.bbox.x1 and first.y0 >= 0
        for second in boxes[:i]:
            shared_width = min(first.x1, second.x1) - max(first.x0, second.x0)
            shared_height = min(first.y1, second.y1) - max(first.y0, second.y0)
            # the boxes of two lines may share the empty pixels below their letters
            assert shared_width <= 2 or shared_height <= 3
