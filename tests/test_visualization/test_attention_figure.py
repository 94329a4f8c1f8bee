import cv2
import matplotlib
import numpy as np
import pytest

from mmpretrain_mldecoder.visualization import attention_figure, attention_overlay, times_average

NAMES = ['dog', 'ball', 'a name as long as no class has one', '$x^2$', 'cat']


def prediction(num_labels=3, num_heads=2, num_shared=0, image=(40, 60)):
    rng = np.random.default_rng(0)
    attention = rng.random((num_labels, num_heads, 4, 5)).astype(np.float32)
    labels = [NAMES[i % len(NAMES)] for i in range(num_labels)]
    return dict(
        labels=labels,
        scores=np.linspace(0.95, 0.55, num_labels).tolist(),
        attention=attention / attention.sum((2, 3), keepdims=True),
        attention_kind="attention of the decoder's last layer",
        shares_query_with=[['cow', 'sheep', 'horse', 'giraffe'][:num_shared] for _ in labels],
        seen=rng.integers(0, 256, (*image, 3), np.uint8),
    )


@pytest.fixture
def draw(figures, tmp_path):
    """Draw a prediction; return the figure that was saved."""

    def draw(*args, **kwargs):
        out = tmp_path / 'folder' / 'attention.png'
        assert attention_figure(*args, out, **kwargs) == out
        assert cv2.imread(str(out)) is not None
        return figures[-1]

    return draw


def panels(figure):
    """The titles and images of the panels, in order, without those that are empty."""
    axes = [a for a in figure.axes if a.images and a.get_title(loc='left')]
    return [(a.get_title(loc='left'), a.images[0].get_array()) for a in axes]


def caption(figure):
    (text,) = figure.texts
    return ' '.join(text.get_text().split())


def test_image_and_one_panel_a_label(draw):
    p = prediction()
    figure = draw(p)
    drawn = panels(figure)
    names = ['the image', 'dog  0.95', 'ball  0.75', 'a name as lo…ass has one  0.55']
    assert [title.splitlines()[0] for title, _ in drawn] == names
    assert np.array_equal(drawn[0][1], p['seen'][..., ::-1])
    for (title, image), maps in zip(drawn[1:], p['attention'], strict=True):
        weights = (maps[0] + maps[1]) / 2
        assert np.array_equal(image, attention_overlay(p['seen'], weights))
        # 20 cells, weights that sum to 1.
        assert title.splitlines()[-1] == f'strongest {20 * weights.max():.1f}× average'
    assert 'last layer, the mean of its 2 heads, on 4 × 5 cells' in caption(figure)
    assert 'Groups' not in caption(figure)


def test_a_row_a_label_and_a_column_a_head(draw):
    p = prediction(num_labels=2, num_heads=3)
    figure = draw(p, per_head=True)
    drawn = panels(figure)
    assert [title.splitlines()[0] for title, _ in drawn] == [
        *('dog  0.95', 'head 1', 'head 2', 'head 3'),
        *('ball  0.55', 'head 1', 'head 2', 'head 3'),
    ]
    for label in range(2):
        for head in range(3):
            title, image = drawn[4 * label + 1 + head]
            weights = p['attention'][label, head]
            assert np.array_equal(image, attention_overlay(p['seen'], weights))
            assert title.endswith(f'\n{20 * weights.max():.1f}× average')
    assert 'each of its 3 heads' in caption(figure)


def test_class_activation_map_is_called_so(draw):
    figure = draw(prediction(num_heads=1) | dict(attention_kind='class activation map'))
    assert caption(figure).startswith('Class activation map, on 4 × 5 cells')


@pytest.mark.parametrize(
    ('per_head', 'num_shared', 'line'),
    [
        (False, 2, 'also cow, sheep'),
        (False, 4, 'also cow, sheep, horse +1'),
        (True, 4, 'also cow, sheep +2'),  # narrower
    ],
)
def test_groups_are_named(draw, per_head, num_shared, line):
    figure = draw(prediction(num_shared=num_shared), per_head=per_head)
    also = [text for title, _ in panels(figure) for text in title.splitlines() if 'also' in text]
    assert also == [line] * 3
    p = prediction(num_labels=1) | dict(shares_query_with=[['n' * 60, 'm']])
    title = panels(draw(p))[1][0].splitlines()[1]
    assert title.startswith('also nnn') and title.endswith('n +1') and len(title) == 30
    assert 'one query answers for several classes' in caption(figure)


@pytest.mark.parametrize('per_head', [False, True])
def test_no_label_and_many_labels(draw, per_head):
    figure = draw(prediction(num_labels=0), per_head=per_head)
    assert [title for title, _ in panels(figure)] == ['no label reaches the threshold']
    assert 'No label reaches the threshold' in caption(figure)
    figure = draw(prediction(num_labels=30), per_head=per_head)
    assert len(panels(figure)) == 23 * (3 if per_head else 1) + (not per_head)
    assert 'The 23 best of 30 labels are drawn' in caption(figure)
    with pytest.raises(ValueError, match='return_attention=True'):
        draw(dict(labels=[], scores=[]))


@pytest.mark.parametrize('image', [(10, 200), (200, 10), (300, 400), (1, 1)])
@pytest.mark.parametrize('per_head', [False, True])
def test_panels_keep_the_aspect_and_do_not_overlap(draw, image, per_head):
    figure = draw(prediction(5, image=image, num_shared=2), per_head=per_head)
    figure.draw_without_rendering()
    boxes = []
    for axes in figure.axes:
        if not axes.get_title(loc='left'):
            continue
        box = axes.get_window_extent()
        assert box.height / box.width == pytest.approx(image[0] / image[1], rel=0.01)
        boxes.append(axes.get_tightbbox())  # with the title
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_overlay_is_heat_over_the_grey_image():
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 256, (30, 50, 3), np.uint8)
    weights = rng.random((3, 5))
    overlay = attention_overlay(seen, weights)
    assert (overlay.shape, overlay.dtype) == (seen.shape, np.uint8)
    luma = seen @ [0.114, 0.587, 0.299]  # BGR, ITU-R BT.601
    # Between the centres of four cells, the enlarged map is their mean.
    for row in (1, 2):
        for column in (1, 2, 3, 4):
            cells = weights[row - 1 : row + 1, column - 1 : column + 1]
            y, x = slice(10 * row - 1, 10 * row + 1), slice(10 * column - 1, 10 * column + 1)
            heat = 255 * np.array(matplotlib.colormaps['inferno'](cells.mean() / weights.max()))
            expected = 0.6 * heat[:3] + 0.4 * luma[y, x].mean()
            # 8-bit rounding, and colours that are not quite linear between 4 pixels.
            np.testing.assert_allclose(overlay[y, x].mean((0, 1)), expected, atol=3)


def test_strongest_cell_is_the_brightest_and_scale_does_not_matter():
    seen = np.full((64, 96, 3), 100, np.uint8)
    weights = np.full((2, 3), 0.05)
    weights[1, 2] = 0.75
    overlay = attention_overlay(seen, weights)
    lightness = cv2.cvtColor(overlay, cv2.COLOR_RGB2GRAY)
    row, column = np.unravel_index(lightness.argmax(), lightness.shape)
    assert row >= 32 and column >= 64
    assert np.array_equal(attention_overlay(seen, 1000 * weights), overlay)
    dark = attention_overlay(seen, np.zeros((2, 3), np.float32))
    assert (dark <= 0.4 * 100 + 3).all()  # inferno begins at (0, 0, 0.014)


def test_times_average():
    assert times_average(np.full((3, 4), 1 / 12)) == pytest.approx(1)
    assert times_average(np.eye(12)[0]) == pytest.approx(12)
    assert times_average(np.zeros((3, 4))) == 0
