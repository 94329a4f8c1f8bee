import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpretrain_mldecoder.datasets.label_files import LabelRow, merge_rows
from mmpretrain_mldecoder.datasets.label_files.label_table import split_in_name

ROWS = st.lists(
    st.builds(
        LabelRow,
        st.sampled_from(('a.jpg', 'b.jpg', 'c.jpg')),
        st.dictionaries(st.sampled_from(('cat', 'dog', 'cow')), st.integers(-1, 1), min_size=1),
    ),
    min_size=1,
    max_size=8,
)


@given(ROWS)
def test_rows_of_an_image_are_united(rows):
    table = merge_rows(rows)
    assert table.images == tuple(dict.fromkeys(row.image for row in rows))
    known = {name for row in rows for name, value in row.labels.items() if value >= 0}
    assert table.classes == tuple(sorted(known))
    for image, targets in zip(table.images, table.targets, strict=True):
        for name, target in zip(table.classes, targets, strict=True):
            said = {r.labels[name] for r in rows if r.image == image and name in r.labels}
            assert target == (1 if 1 in said else 0 if 0 in said or not said else -1)


@given(ROWS, st.randoms())
def test_the_order_of_rows_changes_no_label(rows, random):
    shuffled = random.sample(rows, len(rows))
    one, other = merge_rows(rows), merge_rows(shuffled)
    assert one.classes == other.classes
    order = [other.images.index(image) for image in one.images]
    assert np.array_equal(one.targets, other.targets[order])


def test_notes_name_what_was_united_and_what_looks_alike():
    rows = [
        LabelRow('a.jpg', {'cat': 1, 'Cat ': 1}, 'train', 'g'),
        LabelRow('a.jpg', {'cat': 0, '1.0': 1, '01': 1}, 'val', 'h'),
    ]
    table = merge_rows(rows)
    assert table.classes == ('01', '1.0', 'Cat', 'cat')
    assert table.targets.tolist() == [[1, 1, 1, 1]]
    assert (table.splits, table.groups) == (('train',), ('g',))
    text = '\n'.join(table.notes)
    parts = ('a.jpg has 2', 'yes in one row', "'Cat '", 'upper and lower', 'splits', 'groups')
    for part in (*parts, 'differ in zeros'):
        assert part in text


def test_classes_keep_the_order_that_a_format_states():
    assert merge_rows([LabelRow('a', {'x': 1, '10': 1, '9': 1})], ['z', 'y ']).classes == (
        'z',
        'y',
        '9',
        '10',
        'x',
    )


def test_rows_without_classes_are_refused():
    with pytest.raises(ValueError, match='no class'):
        merge_rows([LabelRow('a', {})])
    with pytest.raises(ValueError, match=r'empty name \(of a\)'):
        merge_rows([LabelRow('a', {' ': 1})])


@pytest.mark.parametrize(
    ('name', 'split'),
    (
        ('instances_train2017.json', 'train'),
        ('valid', 'val'),
        ('TEST_list.txt', 'test'),
        ('test_data-Training.csv', 'train'),
        ('trainval.txt', ''),
        ('strain.csv', ''),
        ('contest.csv', ''),
        ('values.csv', ''),
    ),
)
def test_splits_in_names_are_words(name, split):
    assert split_in_name(name)[0] == split
