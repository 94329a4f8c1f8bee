import cv2
import numpy as np
import pytest

from mmpretrain_mldecoder.visualization.labelled_image import labelled_image


def draw(tmp_path, image, labels, scores) -> np.ndarray:
    out = labelled_image(image, dict(labels=labels, scores=scores), tmp_path / 'new' / 'x.jpg')
    return cv2.imread(str(out))


@pytest.mark.parametrize(
    ('shape', 'width', 'height'),
    [((64, 96), 360, 240), ((4000, 3000), 1200, 1600), ((30, 3000), 1600, 16)],
)
def test_image_is_whole_and_of_a_size_to_look_at(tmp_path, shape, width, height):
    image = np.full((*shape, 3), (200, 40, 20), np.uint8)
    drawn = draw(tmp_path, image, ['dog'], [0.5])
    assert drawn.shape[1] == width
    assert drawn.shape[0] > height
    # JPEG moves the colour by a few grey levels, more where it ends.
    assert np.abs(drawn[: height - 4].astype(int) - (200, 40, 20)).max() < 12
    assert drawn[height + 2 :].mean() > 150  # the panel is light


def test_bar_is_as_long_as_the_score(tmp_path):
    lengths = {}
    for score in (0.25, 0.5, 1.0):
        drawn = draw(tmp_path, np.zeros((300, 400, 3), np.uint8), [''], [score])
        blue, _, red = drawn[305:].astype(int).transpose(2, 0, 1)
        lengths[score] = ((blue - red) > 30).sum(1).max()
    # The score is written over the longest bar; a digit's pixels are not blue.
    assert lengths[0.5] / lengths[0.25] == pytest.approx(2, rel=0.05)
    assert lengths[1.0] > 1.8 * lengths[0.5]


def test_many_long_labels_stay_inside_and_none_is_written_out(tmp_path):
    labels = [f'{"long " * 20}{i}' for i in range(80)]
    image = np.zeros((300, 400, 3), np.uint8)
    drawn = draw(tmp_path, image, labels, [0.9] * 80)
    assert drawn.shape[1] == 400
    assert drawn.shape[0] < 300 + 13 * 30  # 30 entries in columns of at most 12
    assert drawn[300:, -3:].min() > 200  # nothing is written into the margin
    assert draw(tmp_path, image, [], [])[302:].min() < 160  # 'no label'
