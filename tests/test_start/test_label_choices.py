"""What unknown labels are chosen to be, and what is made of it in a training."""

import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from test_labels import write_csv
from tiny_run import load_main

from mmpretrain_mldecoder.datasets.known_labels import known_labels
from mmpretrain_mldecoder.datasets.label_files import (
    Answers,
    SplitCounts,
    count_splits,
    read_labels,
    read_split_counts,
    split_table,
    write_coco_files,
)
from mmpretrain_mldecoder.start.run_config import choose_by_labels


def counts_of(number, positives, unknown, split='train'):
    classes = tuple('abcdef'[: len(positives)])
    return SplitCounts(
        classes, {split: number}, {split: np.array(positives)}, {split: np.array(unknown)}
    )


@pytest.mark.parametrize(
    ('number', 'positives', 'unknown', 'value'),
    [
        (100, [10, 20], [0, 0], None),
        (100, [5, 10], [50, 50], 'left-out'),  # half hidden, at random
        (100, [1, 2], [90, 90], 'left-out'),  # 90 % hidden
        (100, [60, 60], [40, 40], 'absent'),  # positives alone
        (100, [60, 60], [39, 35], 'absent'),  # and few negatives
        (100, [10, 10], [80, 80], 'absent'),  # as many of both, collected class by class
        (100, [97, 80], [1, 2], 'left-out'),  # nearly all present, few in doubt
    ],
)
def test_unknown_labels_count_as_absent_where_positives_were_collected(
    number, positives, unknown, value
):
    choices = choose_by_labels(counts_of(number, positives, unknown))
    assert (choices['unknown_train'].value if choices else None) == value
    if value is not None:
        other = 'left-out' if value == 'absent' else 'absent'
        chosen = choose_by_labels(counts_of(number, positives, unknown), other)['unknown_train']
        assert chosen.value == other


@pytest.mark.parametrize(('positives', 'said'), [([90, 9, 0], True), ([90, 10], False), ([0], 0)])
def test_imbalance_is_said_with_how_to_try_weights(positives, said):
    counts = counts_of(100, positives, [0] * len(positives))
    counts.images['train'] = 100
    choices = choose_by_labels(counts)
    assert ('weights' in choices) == bool(said)
    if said:
        assert "90 images of train show 'a' and 9 'b':" in choices['weights'].reason
        assert "model.head.loss.pos_weight='auto'" in choices['weights'].reason


def test_counts_are_those_of_the_table(tmp_path):
    cells = np.random.default_rng(0).choice(['1', '0', ''], (60, 3))
    data = write_csv(tmp_path / 'data', [(f'{i}.jpg', *row) for i, row in enumerate(cells)],
                     ('image', 'cat', 'dog', 'cow'))  # fmt: skip
    table = split_table(
        read_labels(data, Answers(empty='unknown')), data, dict(train=0.7, val=0.3), 0
    )
    write_coco_files(table, data, tmp_path)
    found, expected = read_split_counts(tmp_path), count_splits(table)
    assert found[:2] == expected[:2]
    for one, other in zip(found[2:], expected[2:], strict=True):
        assert one.keys() == other.keys()
        assert all(one[split].tolist() == other[split].tolist() for split in one)


def test_positives_alone_train_with_all_else_absent(tmp_path, capsys):
    """Each split of the config has the negatives that the loss and the metric need."""
    rows = [(f'{i}.jpg', *(1 if kind == i % 3 else '' for kind in range(3))) for i in range(40)]
    data = write_csv(tmp_path / 'data', rows, ('image', 'cat', 'dog', 'cow'))
    run = tmp_path / 'run'
    command = [str(data), '--out', str(run), '--dry-run', '--empty', 'unknown']
    load_main('start')(command)
    assert 'unknown labels count as absent in train (' in capsys.readouterr().out
    cfg = Config.fromfile(run / 'config.py')
    for split in ('train', 'val', 'test'):
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        positives, negatives = known_labels(dataset).class_counts(3)
        assert positives.sum() == len(dataset)
        assert negatives.sum() == 2 * len(dataset)


@pytest.mark.parametrize(
    ('cells', 'options', 'fix'),
    [
        ([('1', '')], [], None),  # one class that all have
        ([('1', ''), ('', '1')], ['--unknown', 'left-out'], '--unknown absent'),
    ],
)
def test_a_val_that_can_tell_no_epoch_from_another_is_refused(
    cells, options, fix, tmp_path, capsys
):
    rows = [(f'{i}.jpg', *cells[i % len(cells)]) for i in range(40)]
    data = write_csv(tmp_path / 'data', rows, ('image', 'cat', 'dog'))
    empty = 'no' if fix is None else 'unknown'
    command = [str(data), '--dry-run', '--empty', empty, '--out', str(tmp_path / 'run')]
    with pytest.raises(SystemExit):
        load_main('start')([*command, *options])
    said = capsys.readouterr().err
    assert 'val has 6 images and no class' in said
    if fix:
        assert fix in said
        load_main('start')([*command[:-1], str(tmp_path / 'other'), *fix.split()])
