import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from mmpretrain_mldecoder.datasets.label_files import (
    LabelTable,
    SplitCounts,
    count_splits,
    split_counts_table,
    split_table,
)
from mmpretrain_mldecoder.errors import RunError

MAX_STRATIFIED = 'mmpretrain_mldecoder.datasets.label_files.split.MAX_STRATIFIED'


def random_table(number=400, classes=6, **changes):
    rng = np.random.default_rng(3)
    shares = np.linspace(0.02, 0.6, classes)
    targets = (rng.random((number, classes)) < shares).astype(np.int8)
    names = tuple(f'{i}.jpg' for i in range(number))
    table = LabelTable(
        names, tuple(f'c{i}' for i in range(classes)), targets, ('',) * number, ('',) * number
    )
    return replace(table, **changes)


@pytest.fixture(autouse=True)
def _needs_the_package():
    pytest.importorskip('iterstrat')


def test_every_class_is_in_each_split_with_its_share(tmp_path):
    fractions = dict(train=0.7, val=0.2, test=0.1)
    table = split_table(random_table(), tmp_path, fractions)
    of_split = np.array(table.splits)
    for split, fraction in fractions.items():
        assert abs((of_split == split).mean() - fraction) < 0.02
        counts = (table.targets[of_split == split] == 1).sum(axis=0)
        assert abs(counts - fraction * (table.targets == 1).sum(axis=0)).max() <= 3
    name, split, difference = count_splits(table).largest_deviation()
    assert name in table.classes and split in fractions and abs(difference) < 0.1


def test_the_seed_decides(tmp_path):
    one, same, other = (split_table(random_table(), tmp_path, seed=n).splits for n in (0, 0, 1))
    assert one == same
    assert one != other


def test_groups_copies_and_equal_files_stay_together(folder, monkeypatch):
    hexadecimal = '0123456789abcdef' * 2
    names = [f'{i // 2}_jpg.rf.{i}{hexadecimal[1:]}.jpg' for i in range(8)]
    names += [f'{i}.jpg' for i in range(12)]
    folder.add_images(*names)
    for i in range(2, 6):  # the bytes of images 0 and 1
        content = (folder.path / f'{i % 2}.jpg').read_bytes()
        (folder.path / f'{i}.jpg').write_bytes(content)
    groups = [''] * 14 + ['x', 'y'] * 3
    table = random_table(20, images=tuple(names), groups=tuple(groups))
    for most in (100, 10):
        monkeypatch.setattr(MAX_STRATIFIED, most)
        for seed in range(5):
            split = split_table(table, folder.path, {'train': 0.5, 'val': 0.5}, seed)
            splits = dict(zip(names, split.splits, strict=True))
            assert all(splits[names[i]] == splits[names[i + 1]] for i in range(0, 8, 2))
            assert len({splits[f'{i}.jpg'] for i in (0, 2, 4)}) == 1
            assert len({splits[f'{i}.jpg'] for i in (1, 3, 5)}) == 1
            assert len({splits[f'{i}.jpg'] for i in (6, 8, 10)}) == 1
            assert set(split.splits) == {'train', 'val'} or most == 10
    assert any('13 groups' in note or 'groups' in note for note in split.notes)


def test_splits_that_are_given_stay(tmp_path):
    given = ('train', 'val', 'test', '') * 100
    table = split_table(random_table(splits=given), tmp_path)
    assert all(new == old for new, old in zip(table.splits, given, strict=True) if old)
    assert set(table.splits[3::4]) == {'train', 'val'}
    complete = random_table(splits=('train', 'val') * 200)
    assert split_table(complete, tmp_path).splits == complete.splits
    assert split_table(complete, tmp_path).notes == ()
    leaking = replace(complete, groups=('g', 'g', *[''] * 398))
    assert any('0.jpg and 1.jpg' in note for note in split_table(leaking, tmp_path).notes)


def test_val_is_taken_from_train_if_there_is_none(tmp_path):
    table = split_table(random_table(splits=('train', 'train', 'test', 'train') * 100), tmp_path)
    assert set(table.splits[2::4]) == {'test'}
    assert 55 <= table.splits.count('val') <= 65


def test_images_join_the_split_of_their_group(tmp_path):
    splits = ('val', *[''] * 399)
    groups = ('g', *[''] * 398, 'g')
    table = split_table(random_table(splits=splits, groups=groups), tmp_path)
    assert table.splits[-1] == 'val'
    assert any('1 image put' in note for note in table.notes)


def test_a_class_with_one_image_goes_to_train(tmp_path):
    table = random_table()
    table.targets[:, 0] = 0
    table.targets[7, 0] = 1
    table.targets[8, 0] = -1  # does not count
    for seed in range(5):
        split = split_table(table, tmp_path, seed=seed)
        assert split.splits[7] == 'train'
        assert any('c0' in note for note in split.notes)


def test_many_images_are_split_by_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(MAX_STRATIFIED, 300)
    table = random_table()
    split = split_table(table, tmp_path)
    assert any('hash' in note for note in split.notes)
    assert 0.1 < split.splits.count('val') / 400 < 0.3
    fewer = random_table(350, targets=table.targets[:350])
    assert split_table(fewer, tmp_path).splits == split.splits[:350]
    assert split_table(table, tmp_path, seed=1).splits != split.splits


@pytest.mark.parametrize(
    'fractions', (dict(train=0.5, val=0.6), dict(train=1.5, val=-0.5), dict(train=0.5, dev=0.5))
)
def test_wrong_fractions_are_refused(tmp_path, fractions):
    with pytest.raises(ValueError, match='fractions'):
        split_table(random_table(), tmp_path, fractions)


def test_a_split_without_images_is_an_error(tmp_path):
    with pytest.raises(RunError, match='1 group '):
        split_table(random_table(groups=('g',) * 400), tmp_path)


def test_empty_files_are_no_copies(tmp_path):
    table = random_table(20)
    for image in table.images:
        (tmp_path / image).touch()
    assert set(split_table(table, tmp_path).splits) == {'train', 'val'}


def test_the_counts_are_those_of_the_table(tmp_path):
    table = random_table(100, splits=('train', 'train', 'val', 'val') * 25, classes=2)
    table = replace(table, classes=('[red]', 'b\x1b'))
    table.targets[0] = -1
    counts = count_splits(table)
    assert counts.images == dict(train=50, val=50)
    assert counts.unknown['train'].tolist() == [1, 1]
    console = Console(record=True, width=100)
    console.print(split_counts_table(counts))
    text = console.export_text()
    assert '[red]' in text and '\x1b' not in text
    rows = [re.findall(r'\d+', ' '.join(line.split('│')[2:])) for line in text.splitlines()]
    for i in range(2):
        assert [
            str((table.targets[np.array(table.splits) == split, i] == label).sum())
            for split in ('train', 'val')
            for label in (1, 0, -1)
        ] in rows


def test_of_many_classes_the_most_and_the_least_frequent_are_shown():
    number = np.random.default_rng(0).permutation(100)
    counts = SplitCounts(
        tuple(f'c{n}.' for n in number), dict(train=100), dict(train=number), dict(train=number * 0)
    )
    console = Console(record=True, width=100)
    console.print(split_counts_table(counts))
    text = console.export_text()
    shown = [int(n) for n in re.findall(r'c(\d+)\. ', text.partition('largest')[0])]
    assert shown == [*range(99, 69, -1), *range(29, -1, -1)] and '40 classes between' in text
