import csv
import json

import pytest

from mmpretrain_mldecoder.apis import write_predictions
from mmpretrain_mldecoder.apis.predictions.prediction_file import write_prediction_table


def test_one_line_a_image(tmp_path):
    predictions = [
        dict(path='a.jpg', labels=['狗', 'ball'], scores=[0.9, 0.1 + 0.2]),
        dict(index=1, labels=[], scores=[]),
    ]
    path = write_predictions(predictions, tmp_path / 'new' / 'predictions.jsonl')
    lines = path.read_text(encoding='utf-8').splitlines()
    assert [json.loads(line) for line in lines] == predictions
    assert '狗' in lines[0]


def test_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = write_predictions([dict(path='a.jpg')], tmp_path / 'predictions.jsonl')
    with pytest.raises(TypeError, match='not JSON serializable'):
        write_predictions([dict(path='b.jpg'), dict(path=object())], path)
    assert path.read_text() == '{"path": "a.jpg"}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_table_has_a_column_a_class(tmp_path):
    classes = ['cat, tabby', 'say "dog"', '鸟']
    predictions = [
        dict(path='a, b.jpg', labels=['鸟', 'cat, tabby'], scores=[0.75, 1 / 3]),
        dict(path='ü.jpg', labels=[], scores=[]),
    ]
    out = write_prediction_table(predictions, classes, tmp_path / 'new' / 'predictions.csv')
    with out.open(encoding='utf-8', newline='') as file:
        rows = list(csv.reader(file))
    assert rows == [
        ['path', *classes],
        ['a, b.jpg', '0.333333', '', '0.750000'],
        ['ü.jpg', '', '', ''],
    ]


@pytest.mark.parametrize('name', ['=cmd|calc', '+1', '-1.jpg', '@sum', '\t=1'])
def test_no_cell_is_a_formula(tmp_path, name):
    prediction = dict(path=name, labels=[name], scores=[0.5])
    file = write_prediction_table([prediction], [name], tmp_path / 'a.csv')
    with file.open(newline='') as text:
        header, row = csv.reader(text)
    assert header == ['path', f"'{name}"]
    assert row == [f"'{name}", '0.500000']


def test_carriage_return_begins_no_row(tmp_path):
    file = write_prediction_table(
        [dict(path='a\r=1', labels=[], scores=[])], [], tmp_path / 'a.csv'
    )
    assert file.read_bytes() == b'path\na\\r=1\n'
