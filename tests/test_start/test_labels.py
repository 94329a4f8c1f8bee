"""The labels of a run: which split is which, what is said, what is asked."""

import csv
import json
import os
import re
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch
from faulty_images import encoded, photo
from tiny_run import load_main

from mmpretrain_mldecoder.datasets import COCOMultiLabel
from mmpretrain_mldecoder.datasets.label_files import Answers
from mmpretrain_mldecoder.errors import OpenQuestion, RunError
from mmpretrain_mldecoder.evaluation.metrics.sample_arrays import sample_arrays
from mmpretrain_mldecoder.models.heads import MLDecoderHead
from mmpretrain_mldecoder.start.labels import prepare_labels
from mmpretrain_mldecoder.start.questions import with_questions

pytest.importorskip('iterstrat')


def write_csv(folder, rows, header=('image', 'labels'), first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i, (name, *_) in enumerate(rows, first):
        (folder / name).write_bytes(encoded(photo(i)))
    with (folder / 'labels.csv').open('w', newline='') as file:
        csv.writer(file).writerows([header, *rows])
    return folder


def read_splits(folder):
    found = {}
    for split in ('train', 'val', 'test'):
        content = json.loads((folder / f'{split}.json').read_text())
        found[split] = {image['file_name'] for image in content['images']}
    return found


def test_without_splits_three_are_made_and_each_image_is_in_one(tmp_path, capsys):
    rows = [(f'{i}.jpg', 'cat|dog' if i % 3 else 'dog') for i in range(40)]
    data = write_csv(tmp_path / 'data', rows)
    prepare_labels(data, Answers(), 0, tmp_path / 'labels')

    splits = read_splits(tmp_path / 'labels')
    assert sum(map(len, splits.values())) == len(set().union(*splits.values())) == 40
    assert len(splits['train']) == pytest.approx(28, abs=2)
    assert 'all images' in capsys.readouterr().out
    prepare_labels(data, Answers(), 0, tmp_path / 'again')
    assert read_splits(tmp_path / 'again') == splits


def test_val_of_the_labels_is_the_test_if_they_have_none(tmp_path, capsys):
    for split, count, first in (('train', 30, 0), ('val', 8, 30)):
        rows = [(f'{split}{i}.jpg', 'cat|dog' if i % 3 else 'dog') for i in range(count)]
        write_csv(tmp_path / 'data' / split, rows, first=first)
    prepare_labels(tmp_path / 'data', Answers(), 0, tmp_path / 'labels')
    splits = read_splits(tmp_path / 'labels')
    assert splits['test'] == {f'val/val{i}.jpg' for i in range(8)}
    assert splits['val']
    assert all(name.startswith('train/') for name in splits['train'] | splits['val'])
    assert 'the test here' in capsys.readouterr().out


def test_rare_classes_and_unlabelled_images_are_said(tmp_path, capsys):
    rows = [(f'{i}.jpg', 'cat|dog' if i % 2 else 'dog') for i in range(40)]
    rows += [('a.jpg', 'axolotl'), ('b.jpg', '')]
    prepare_labels(write_csv(tmp_path / 'data', rows), Answers(), 0, tmp_path / 'labels')
    said = capsys.readouterr().out
    assert 'axolotl (1)' in said
    assert '1 image has no label' in said


def test_images_of_which_all_is_unknown_are_not_called_negative(tmp_path, capsys):
    rows = [(f'{i}.jpg', i % 2, 1) for i in range(40)] + [('a.jpg', '', ''), ('b.jpg', 0, 0)]
    data = write_csv(tmp_path / 'data', rows, ('image', 'cat', 'dog'))
    prepare_labels(data, Answers(empty='unknown'), 0, tmp_path / 'labels')
    said = capsys.readouterr().out
    assert '1 image has no label' in said
    assert '1 image has no known label' in said
    assert '1 class has no image in train' not in said


def test_unknown_cells_reach_the_loss_and_the_metric_as_unknown(tmp_path):
    cells = np.random.default_rng(0).choice(['1', '0', ''], (60, 3))
    data = write_csv(tmp_path / 'data', [(f'{i}.jpg', *row) for i, row in enumerate(cells)],
                     ('image', 'cat', 'dog', 'cow'))  # fmt: skip
    prepare_labels(data, Answers(empty='unknown'), 0, tmp_path / 'labels')
    found = {}
    for split in ('train', 'val', 'test'):
        pipeline = [dict(type='LoadImageFromFile'), dict(type='PackMultiLabelInputs')]
        path = tmp_path / f'labels/{split}.json'
        dataset = COCOMultiLabel(ann_file=str(path), data_root=str(data), pipeline=pipeline)
        assert dataset.metainfo['classes'] == ('cat', 'dog', 'cow')
        for sample in (dataset[i]['data_samples'] for i in range(len(dataset))):
            sample.set_pred_score(torch.zeros(3))
            found[os.path.basename(sample.img_path)] = sample
    targets = np.select([cells == '1', cells == '0'], [1, 0], -1)
    samples = [found.pop(f'{i}.jpg') for i in range(60)]
    assert not found
    arrays = sample_arrays([sample.to_dict() for sample in samples])
    np.testing.assert_array_equal(arrays['targets'], targets)

    head = MLDecoderHead(num_classes=3, in_channels=8, loss=dict(type='DetachedAsymmetricLoss'))
    head.forward = lambda feats: feats
    logits = torch.zeros(60, 3, requires_grad=True)
    head.loss(logits, samples)['loss'].backward()
    np.testing.assert_array_equal(logits.grad == 0, targets == -1)


def test_classes_that_are_never_known_to_be_absent_are_said(tmp_path, capsys):
    rows = [(f'{i}.jpg', 1 if i % 2 else '', i % 2) for i in range(40)]
    data = write_csv(tmp_path / 'data', rows, ('image', 'cat', 'dog'))
    for empty, is_said in (('unknown', True), ('no', False)):
        prepare_labels(data, Answers(empty=empty), 0, tmp_path / empty)
        said = capsys.readouterr().out
        assert ('known to lack it' in said and 'partial_labels.md): cat' in said) == is_said


def test_too_few_images_for_three_splits(tmp_path):
    data = write_csv(tmp_path / 'data', [('a.jpg', 'cat'), ('b.jpg', 'dog')])
    with pytest.raises(RunError, match='too few'):
        prepare_labels(data, Answers(separator='none'), 0, tmp_path / 'labels')


@pytest.mark.parametrize('splits', [['val'], ['val', 'test']])
def test_splits_of_which_none_is_train_are_named(tmp_path, splits):
    rows = [(f'{i}.jpg', 'dog', splits[i % len(splits)]) for i in range(40)]
    data = write_csv(tmp_path / 'data', rows, ('image', 'labels', 'split'))
    with pytest.raises(RunError, match=f'all are of {" and ".join(sorted(splits))}:'):
        prepare_labels(data, Answers(), 0, tmp_path / 'labels')


def test_a_question_is_an_error_with_its_argument_without_a_terminal(tmp_path, capsys):
    rows = [(f'{i}.jpg', i % 2, (i % 3) - 1) for i in range(30)]
    data = write_csv(tmp_path / 'data', rows, ('image', 'cat', 'dog'))
    with pytest.raises(OpenQuestion) as question:
        prepare_labels(data, Answers(), 0, tmp_path / 'labels')
    assert question.value.argument == 'minus_one'
    with pytest.raises(SystemExit):
        load_main('start')([str(data), '--out', str(tmp_path / 'run'), '--dry-run'])
    assert '--minus-one unknown' in capsys.readouterr().err

    # following the advice works
    load_main('start')(
        [str(data), '--out', str(tmp_path / 'run'), '--dry-run', '--minus-one', 'unknown']
    )
    train = json.loads((tmp_path / 'run/labels/train.json').read_text())
    assert any(each.get('ignore') for each in train['annotations'])
    assert (tmp_path / 'run/config.py').is_file()


def test_a_question_is_asked_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdin, 'isatty', lambda: True)
    answers = iter(['7', '2'])
    monkeypatch.setattr('builtins.input', lambda *_: next(answers))

    def read(given):
        if given.empty is None:
            raise OpenQuestion('empty', 'What are 3 empty cells?', dict(no='no', unknown='unknown'))
        return 'table'

    assert with_questions(read, Answers()) == ('table', Answers(empty='unknown'))
    assert 'What are 3 empty cells?' in capsys.readouterr().out


def test_help_says_what_each_answer_is(capsys):
    with pytest.raises(SystemExit):
        load_main('start')(['--help'])
    text = ' '.join(capsys.readouterr().out.split())
    for field in fields(Answers):
        option = field.name.replace('_', '-')
        assert re.search(rf'--{option} [^-].{{20,}}', text.partition('labels:')[2]), option
