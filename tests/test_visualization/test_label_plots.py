import numpy as np
import pytest
from matplotlib.figure import Figure

from mmpretrain_mldecoder.visualization.label_plots import (
    classes_to_plot,
    order_by_similarity,
    plot_cooccurrence,
    plot_label_counts,
    plot_labels_per_image,
)


def bars(figure: Figure) -> dict[str, float]:
    """Length of the bar of each class."""
    return {
        text.get_text(): bar.get_width()
        for axes in figure.axes
        for text, bar in zip(axes.get_yticklabels(), axes.patches, strict=False)
    }


@pytest.mark.parametrize('num_classes', [1, 41, 120])
def test_every_class_has_its_bar(num_classes, figures, tmp_path):
    counts = np.random.default_rng(0).integers(1, 1000, num_classes)
    names = [f'class {i}' for i in range(num_classes)]
    plot_label_counts(names, dict(train=counts, val=counts // 10), tmp_path / 'x.png')
    assert bars(figures[0]) == dict(zip(names, counts.tolist(), strict=True))
    assert list(bars(figures[0]).values()) == sorted(counts, reverse=True)


def test_many_classes_have_a_curve_and_the_extremes(figures, tmp_path):
    counts = np.arange(9605)[::-1] // 3
    names = [f'{i}' for i in range(9605)]
    plot_label_counts(names, dict(train=counts, val=counts // 50), tmp_path / 'x.png')
    ranks, most, least = figures[0].axes
    x, y = ranks.lines[0].get_data()
    assert (x[0], x[-1], y[0], y[-1]) == (1, 9602, 3201, 1)
    assert [label.get_text() for label in most.get_yticklabels()] == names[:40]
    # the three without an image are not among the least frequent
    assert [label.get_text() for label in least.get_yticklabels()] == names[9562:9602]


def test_a_class_without_images_has_a_cross(figures, tmp_path):
    plot_label_counts(
        ['a', 'b'], dict(train=np.array([5, 0]), val=np.array([0, 2])), tmp_path / 'x.png'
    )
    crosses = [line for line in figures[0].axes[0].lines if line.get_marker() == 'x']
    assert [line.get_ydata().tolist() for line in crosses] == [[1], [0]]


def test_shares_of_label_numbers_add_up(figures, tmp_path):
    numbers = dict(train=np.array([0, 1, 1, 3]), val=np.array([2, 2]))
    plot_labels_per_image(numbers, tmp_path / 'x.png')
    heights = [bar.get_height() for bar in figures[0].axes[0].patches]
    assert heights == [25, 50, 0, 25, 0, 0, 100, 0]
    texts = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    assert texts[0] == 'train: 4 images, 1.25 labels on average'
    # the few with most labels share a bar
    plot_labels_per_image(dict(train=np.array([1] * 500 + [70, 90])), tmp_path / 'x.png')
    axes = figures[1].axes[0]
    assert axes.get_xticklabels()[-1].get_text() == '≥1'
    assert axes.patches[-1].get_height() == 100


def test_a_cell_is_the_share_of_a_row(figures, tmp_path):
    together = np.array([[10, 5, 0], [5, 20, 2], [0, 2, 4]])
    plot_cooccurrence(['a', 'b', 'c'], together, 'train', 3, tmp_path / 'x.png')
    axes = figures[0].axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    assert sorted(rows) == ['a (10)', 'b (20)', 'c (4)']
    shown = axes.images[0].get_array()
    expected = dict(ab=0.5, ac=0, ba=0.25, bc=0.1, ca=0, cb=0.5)
    for row, name in enumerate(rows):
        for column, other in enumerate(columns):
            if name[0] != other:
                assert shown[row, column] == expected[name[0] + other]


def test_which_classes_a_heat_map_shows():
    assert classes_to_plot(np.array([3, 0, 9])).tolist() == [0, 2]
    counts = np.arange(500)
    assert classes_to_plot(counts).tolist() == list(range(460, 500))


def test_similar_ones_stand_together():
    """Three blocks, shuffled: each must come out in one piece."""
    rng = np.random.default_rng(0)
    block = np.repeat([0, 1, 2], [5, 3, 7])[rng.permutation(15)]
    similarity = (block[:, None] == block) * 0.5 + rng.uniform(0, 0.1, (15, 15))
    order = order_by_similarity((similarity + similarity.T) / 2)
    assert sorted(order) == list(range(15))
    assert (np.diff(block[order]) != 0).sum() == 2
