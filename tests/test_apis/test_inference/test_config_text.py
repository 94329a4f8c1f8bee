import math

import pytest
from mmengine.config import Config

from mmpretrain_mldecoder.apis.inference.stored_config import MAX_CHARACTERS, read_config_text


def test_what_mmengine_writes_is_read_back():
    content = dict(
        number=-1.5e-10,
        infinite=-math.inf,
        words="it's\n{ } \\ \u732b",
        nothing=None,
        flags=(True, False),
        one=(1,),
        empty=[dict(), [], ()],
        nested=dict(type='A', inner=[dict(type='B', pair=(1, dict(c=2)))]),
        keys={'a.b': 1, 2: 'two', 'bias': dict(decay_mult=0.0)},
        long=['word' * 10] * 20,
    )
    assert read_config_text(Config(content).pretty_text) == content


def test_double_star_is_a_dict():
    assert read_config_text("a = dict(b=1, **{'c.d': 2})") == dict(a={'b': 1, 'c.d': 2})


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('import os', 'line 1 has a line that is not NAME = VALUE'),
        ('a = 1\nb = a', 'line 2 has a, which is no plain value'),
        ("a = open('marker', 'w')", r"line 1 has open\('marker', 'w'\), which"),
        ("a = dict(open('marker', 'w'))", 'which is no plain value'),
        ("a = dict(b=[open('marker', 'w')])", r"open\('marker'"),
        ("a = __import__('os').system('touch marker')", 'which is no plain value'),
        ("a = f'{open(0)}'", 'which is no plain value'),
        ("a = 'x' * 10**10", 'which is no plain value'),
        ('a = [i for i in (1,)]', 'which is no plain value'),
        ('a = lambda: 1', 'which is no plain value'),
        ('a = (b := 1)', 'which is no plain value'),
        ('a = dict(**[1])', r'\*\* before something that is no dict'),
        ('a = {(1, 2): 3}', 'the key'),
        ('a = {**1}', r'\*\* before'),
        ("a = -'b'", "a minus before 'b'"),
        ('a.b = 1', 'not NAME = VALUE'),
        ('a = b = 1', 'not NAME = VALUE'),
        ('def f(): pass', 'not NAME = VALUE'),
        ('a = (', 'line 1 is no Python'),
        ('a = "\0"', 'cannot be parsed|no Python'),
        ('a = ' + '[' * 5000 + ']' * 5000, 'no Python|cannot be parsed'),
        ('a = ' + '-' * 50_000 + '1', 'cannot be parsed|no plain value|no Python'),
        ('#' * (MAX_CHARACTERS + 1), r'1,000,001 characters, more than 1,000,000'),
    ],
)
def test_anything_else_is_refused_and_not_run(text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=reason):
        read_config_text(text)
    assert list(tmp_path.iterdir()) == []
