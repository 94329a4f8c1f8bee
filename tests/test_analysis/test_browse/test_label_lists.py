import numpy as np
import pytest

from mmpretrain_mldecoder.analysis.browse.dataset_split import LabelLists


@pytest.fixture
def lists() -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [rng.choice(9, rng.integers(0, 6), replace=False).tolist() for _ in range(50)] + [[], []]


def one_hot(lists: list[list[int]], num_classes: int) -> np.ndarray:
    present = np.zeros((len(lists), num_classes), int)
    for row, labels in zip(present, lists, strict=True):
        row[labels] = 1
    return present


def test_counts_are_those_of_a_loop(lists):
    of_lists = LabelLists.of(lists)
    assert len(of_lists) == len(lists)
    assert [of_lists[i].tolist() for i in range(len(lists))] == [sorted(row) for row in lists]
    assert of_lists.per_image.tolist() == [len(row) for row in lists]
    assert of_lists.counts(12).tolist() == one_hot(lists, 12).sum(axis=0).tolist()


@pytest.mark.parametrize('classes', [range(9), [7, 2, 5], [8], [0, 11]])
def test_together_is_the_product_of_one_hot_rows(lists, classes):
    present = one_hot(lists, 12)[:, list(classes)]
    assert np.array_equal(LabelLists.of(lists).together(list(classes)), present.T @ present)


def test_a_label_counts_once_a_image():
    assert LabelLists.of([[1, 1, 0]]).counts(2).tolist() == [1, 1]


def test_no_image_and_no_label():
    assert LabelLists.of([]).counts(3).tolist() == [0, 0, 0]
    assert LabelLists.of([[], []]).together([0, 1]).tolist() == [[0, 0], [0, 0]]
