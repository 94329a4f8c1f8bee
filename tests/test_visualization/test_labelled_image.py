import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmpretrain_mldecoder.visualization import contact_sheet
from mmpretrain_mldecoder.visualization.labelled_image import labelled_image

GREEN, ORANGE = '#009e73', '#d55e00'


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


@pytest.fixture
def written(monkeypatch) -> list[tuple[str, str]]:
    """The texts that are drawn, with their colours."""
    texts, draw = [], ImageDraw.ImageDraw.text

    def text(self, place, text, fill, *args, **kwargs):
        texts.append((text, fill))
        draw(self, place, text, fill, *args, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, 'text', text)
    return texts


def solid(bgr, height=60, width=80) -> np.ndarray:
    return np.full((height, width, 3), bgr, np.uint8)


def test_images_are_shown_in_their_order_and_colours(tmp_path):
    blue, red = solid((255, 0, 0)), solid((0, 0, 255))
    Image.fromarray(red[..., ::-1]).save(tmp_path / 'red.tga')  # which OpenCV does not read
    predictions = [dict(labels=['a'], scores=[0.5])] * 2
    out = contact_sheet([blue, tmp_path / 'red.tga'], predictions, tmp_path / 'new' / 'sheet.png')
    sheet = cv2.imread(str(out)).astype(int)
    places = [(abs(sheet - bgr) < 3).all(-1) for bgr in ((255, 0, 0), (0, 0, 255))]
    assert min(here.mean() for here in places) > 0.15  # each fills a third of the sheet or so
    blue_columns, red_columns = (np.flatnonzero(here.any(0)) for here in places)
    assert blue_columns.max() < red_columns.min()


def test_without_truth_labels_and_scores(tmp_path, written):
    prediction = dict(path='/data/photo.jpg', labels=['dog', '$x$'], scores=[0.987, 0.5])
    contact_sheet([solid(0)], [prediction], tmp_path / 'sheet.png')
    assert {text for text, _ in written} == {'photo.jpg', 'dog', '0.99', '$x$', '0.50'}


def test_truth_is_marked_by_symbol_and_colour(tmp_path, written):
    prediction = dict(labels=['dog', 'cat'], scores=[0.9, 0.6])
    contact_sheet([solid(255)], [prediction], tmp_path / 'sheet.png', truth=[['ball', 'dog']])
    signs = {text: color for text, color in written if text and text in '✓✗○'}
    assert (signs['✓'], signs['✗'], len(set(signs.values()))) == (GREEN, ORANGE, 3)
    texts = [text for text, _ in written]
    assert texts.count('✓') == texts.count('✗') == texts.count('○') == 1
    assert {'ball', '✓ hit', '✗ false alarm', '○ miss'} < set(texts)


def test_many_labels_and_no_label(tmp_path, written):
    labels = [f'label {i}' for i in range(15)]
    predictions = [dict(labels=labels, scores=[0.9] * 15), dict(labels=[], scores=[])]
    contact_sheet([solid(0)] * 2, predictions, tmp_path / 'sheet.png')
    texts = [text for text, _ in written]
    assert [t for t in texts if t.startswith('label')] == labels[:11]
    assert '… 4 more' in texts
    assert 'no label' in texts


def test_size_grows_with_the_rows(tmp_path):
    shapes = []
    for number in (9, 1):
        predictions = [dict(labels=['a'], scores=[0.9])] * number
        out = contact_sheet([solid(0)] * number, predictions, tmp_path / 'sheet.png')
        shapes.append(np.array(cv2.imread(str(out)).shape[:2]))
    assert shapes[0] / shapes[1] == pytest.approx([3, 4], rel=0.1)  # margins are shared


@pytest.mark.parametrize(
    ('images', 'predictions', 'truth'), [(0, 0, None), (1, 2, None), (1, 1, [[]] * 3)]
)
def test_without_an_image_or_with_other_numbers_nothing_is_drawn(
    images, predictions, truth, tmp_path
):
    predictions = [dict(labels=[], scores=[])] * predictions
    with pytest.raises(ValueError):
        contact_sheet([solid(0)] * images, predictions, tmp_path / 'sheet.png', truth)
    assert not (tmp_path / 'sheet.png').exists()
