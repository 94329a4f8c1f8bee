"""The arithmetic of the benchmarks' table."""

import json

import pytest
from comparison import Comparison, cells, markdown, report, seconds_in_turn


@pytest.mark.parametrize(
    ('unit', 'ours', 'peer', 'goal', 'ratio', 'reached'),
    [
        ('s', 2.0, 6.0, 3.0, 3.0, True),
        ('MB', 4.0, 6.0, 2.0, 1.5, False),
        ('photos/s', 300.0, 100.0, 2.5, 3.0, True),
        ('photos/s', 100.0, 300.0, 2.5, 1 / 3, False),
        ('s', 0.4, None, 0.5, None, True),
        ('s', 0.6, None, 0.5, None, False),
        ('s', 0.6, 1.2, None, 2.0, None),
    ],
)
def test_more_a_second_and_fewer_seconds_are_better(unit, ours, peer, goal, ratio, reached):
    row = Comparison('x', ours, unit, peer, 'peer', goal)
    assert row.ratio == pytest.approx(ratio) if ratio else row.ratio is None
    assert row.reached is reached


def test_functions_take_turns_and_warm_up_first():
    calls = []
    functions = dict(a=lambda: calls.append('a'), b=lambda: calls.append('b'))
    seconds = seconds_in_turn(functions, repeats=2, warmup=1)
    assert calls == ['a', 'b'] * 3
    assert set(seconds) == {'a', 'b'}
    assert all(0 <= value < 1 for value in seconds.values())


def test_report_prints_what_it_writes_and_markdown_has_a_row_for_each(tmp_path, capsys):
    rows = [Comparison('head', 1.0, 's', 1.5, 'timm', 1.4, 'note of the row')]
    path = report('head', rows, tmp_path, ('numpy', 'no-such-package'))
    printed = capsys.readouterr().out
    content = json.loads(path.read_text())
    assert content['rows'][0]['ratio'] == 1.5
    assert content['rows'][0]['reached'] is True
    assert content['versions']['no-such-package'] == 'absent'
    for cell in (*cells(rows[0]), 'note of the row', content['machine']['processor']):
        assert cell in printed
    tmp_path = tmp_path / 'markdown'
    report('b', [Comparison('two', 2.0, 's')], tmp_path, ())
    report('a', [Comparison('one', 1.0, 's', 3.0, 'peer', 2.0)], tmp_path, ())
    assert markdown(tmp_path).splitlines()[2:] == [
        '| a | one | 1 s | 3 s | peer | 3.00 x | >= 2 x | reached |',
        '| b | two | 2 s | - |  | - | - |  |',
    ]
