import numpy as np
import pytest

from mmpretrain_mldecoder.apis.prediction_run import table_row
from mmpretrain_mldecoder.evaluation.metrics.multi_label_map import class_table
from mmpretrain_mldecoder.fileio.terminal import counted, one_line, printable

CLEAR = '\x1b[2J'  # empties the screen of a terminal


@pytest.mark.parametrize(
    'text', ['photos/a b.jpg', '\u732b', 'caf\u00e9', 'a\u200db', '\U0001f431']
)
def test_text_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ('text', 'escaped'),
    [
        (CLEAR, r'\x1b[2J'),
        ('a\nb\t\r', r'a\nb\t\r'),
        ('\x9b2J', r'\x9b2J'),  # the same in one byte of Latin-1
        ('gpj.\u202eexe', r'gpj.\u202eexe'),  # turns the direction
        ('a\u2028b', r'a\u2028b'),
        ('\udcff', r'\xff'),  # a byte that is no UTF-8
        ('\x7f', r'\x7f'),
    ],
)
def test_what_a_terminal_acts_on_is_escaped(text, escaped):
    assert printable(text) == escaped


def test_tables_of_names_are_safe_to_print():
    row = table_row(dict(path=CLEAR, labels=[CLEAR], scores=[0.5]), 8, 8)
    assert row.isprintable()
    table = class_table([CLEAR], dict(positives=np.array([1])), np.array([0.5]))
    assert all(line.isprintable() for line in table.splitlines())


def test_an_exception_in_one_line():
    assert one_line(ValueError('a\n   b\tc ')) == 'a b c'
    assert one_line(MemoryError()) == 'MemoryError'
    assert one_line(OSError('\n')) == 'OSError'


def test_one_thing_is_not_several():
    assert [counted(n, 'image') for n in (0, 1, 2000)] == ['0 images', '1 image', '2,000 images']
    assert [counted(n, 'class') for n in (1, 2)] == ['1 class', '2 classes']
    assert [counted(n, 'row has', 'rows have') for n in (1, 2)] == ['1 row has', '2 rows have']
