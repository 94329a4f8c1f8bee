import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmpretrain.registry import MODELS

from mmpretrain_mldecoder.checkpoints.classes import compare_classes, move_rows

NAMES = st.lists(
    st.sampled_from(['ant', 'bee', 'cat', 'dog', 'eel', 'fox']), min_size=1, unique=True
)


@given(NAMES, NAMES)
def test_every_name_is_kept_moved_new_or_dropped(theirs, ours):
    change = compare_classes(theirs, ours)
    both = {*theirs} & {*ours}
    assert {*change.kept} == {n for n in both if theirs.index(n) == ours.index(n)}
    moves = {f'{n} {theirs.index(n)} -> {ours.index(n)}' for n in both - {*change.kept}}
    assert {*change.moved} == moves
    assert {*change.new} == {*ours} - both and {*change.dropped} == {*theirs} - both
    assert change.is_same == (theirs == ours)
    assert change.is_reordered == (both == {*theirs} == {*ours} and theirs != ours)
    assert (change.first_difference('here', 'there') == '') == change.is_same
    assert bool(change.renamed) is False


def test_near_names_are_the_same_class_and_shown():
    change = compare_classes(['traffic light', 'Cat', 'a'], ['cat', 'Traffic_Light', 'A', 'a'])
    assert change.sources == {0: 1, 1: 0, 3: 2} and change.new == ['A']
    assert "'Cat' = 'cat'" in str(change) and "'traffic light' = 'Traffic_Light'" in str(change)
    # What is near two names is neither.
    assert compare_classes(['a b'], ['a_b', 'A B']).sources == {}
    assert compare_classes(None, ['a']) is None and compare_classes(['a'], []) is None


# ---- heads: the scores of a class follow its name

HEADS = {
    'linear': dict(type='MultiLabelLinearClsHead', in_channels=6),
    'csra': dict(type='CSRAClsHead', in_channels=6, num_heads=2, lam=0.1),
    'decoder': dict(type='MLDecoderHead', in_channels=6, embed_dims=8, num_heads=2, drop_rate=0.0),
}
for head in HEADS.values():
    head.setdefault('loss', dict(type='DetachedAsymmetricLoss'))
THEIRS = ['ant', 'bee', 'cat', 'dog', 'eel', 'fox']
ORDERS = {
    'permuted': ['fox', 'ant', 'bee', 'eel', 'dog', 'cat'],
    'fewer': ['eel', 'bee'],
    'more': ['gnu', 'cat', 'bee', 'ant', 'hen', 'fox', 'dog'],
    'others': ['gnu', 'hen'],
}


def head_of(kind: str, num_classes: int, **more):
    head = MODELS.build(HEADS[kind] | dict(num_classes=num_classes) | more)
    for value in head.parameters():
        torch.nn.init.normal_(value)
    return head.eval().double()  # in float32 a score near 0 has large roundings


def scores(head, feats) -> torch.Tensor:
    return head((feats.mean((2, 3)) if 'Linear' in type(head).__name__ else feats,))[0]


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('kind', HEADS)
def test_scores_follow_the_names(kind, order):
    ours = ORDERS[order]
    theirs, head = head_of(kind, len(THEIRS)), head_of(kind, len(ours))
    fresh = {name: value.clone() for name, value in head.state_dict().items()}
    moved, lost = move_rows(head, theirs.state_dict(), compare_classes(THEIRS, ours))
    assert moved and not lost
    assert all(torch.equal(value, fresh[name]) for name, value in head.state_dict().items())
    head.load_state_dict(theirs.state_dict() | moved)
    feats = torch.rand(1, 6, 3, 3, dtype=torch.float64)
    before, after = scores(theirs, feats), scores(head, feats)
    for index, name in enumerate(ours):
        if name in THEIRS:
            torch.testing.assert_close(after[index], before[THEIRS.index(name)])
        else:  # its rows are those that it had
            rows = {n: v[index] for n, v in moved.items() if len(v) == len(ours)}
            assert all(torch.equal(row, fresh[n][index]) for n, row in rows.items())


@pytest.mark.parametrize(
    ('groups', 'own_groups', 'order', 'following'),
    [
        (3, 3, ['bee', 'ant', 'cat', 'gnu', 'fox', 'eel'], 'bee ant cat fox eel'),  # in their group
        (3, 3, ['cat', 'bee', 'ant', 'dog', 'eel', 'fox'], 'bee dog eel fox'),
        (2, 2, THEIRS[:5], 'ant bee cat dog eel'),
        (3, 5, ORDERS['permuted'][:5], 'fox ant bee eel dog'),  # to queries of their own
    ],
)
def test_several_classes_for_each_query(groups, own_groups, order, following):
    theirs = head_of('decoder', 6, num_groups=groups)
    head = head_of('decoder', len(order), num_groups=own_groups)
    moved, lost = move_rows(head, theirs.state_dict(), compare_classes(THEIRS, order))
    assert not lost
    head.load_state_dict(theirs.state_dict() | moved)
    feats = torch.rand(1, 6, 3, 3, dtype=torch.float64)
    before, after = scores(theirs, feats), scores(head, feats)
    for index, name in enumerate(order):
        is_close = (
            torch.allclose(after[index], before[THEIRS.index(name)]) if name in THEIRS else False
        )
        assert is_close == (name in following.split()), name


def test_rows_that_cannot_follow_are_named():
    theirs, head = head_of('decoder', 6, num_groups=6), head_of('decoder', 6, num_groups=3)
    change = compare_classes(THEIRS, ORDERS['permuted'])
    rows = {'decoder.queries', 'decoder.group_linear.weight', 'decoder.group_linear.bias'}
    moved, lost = move_rows(head, theirs.state_dict(), change)
    assert not moved and {*lost} == rows
    assert move_rows(torch.nn.Identity(), {}, change) == ({}, [])
