"""What two names that look alike differ in."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmpretrain_mldecoder.fileio.near_names import difference, near_names


@pytest.mark.parametrize(
    ('name', 'near'),
    [
        ('Cat', 'cat (differs in upper and lower case)'),
        ('traffic_light', 'traffic light (differs in blanks and underscores or hyphens)'),
        ('Ku\u0308che', 'K\u00fcche (differs in Unicode form (NFC, NFD, full width))'),
        ('\uff43\uff41\uff54', 'cat (differs in Unicode form (NFC, NFD, full width))'),
        ('\ufeffcat\u200b', 'cat (differs in invisible characters)'),
        ('cat ', 'cat (differs in blanks)'),
        ('cats', 'cat'),
        ('traffic', 'traffic light'),
        ('light', 'traffic light'),
        ('zebra', None),
    ],
)
def test_near_names(name, near):
    names = ['cat', 'dog', 'K\u00fcche', 'traffic light']
    assert near_names(name, names) == (f'; near: {near}' if near else '')


@pytest.mark.parametrize(
    ('name', 'other', 'what'),
    [
        ('0-10', '10', ''),  # ages
        ('1-2', '12', ''),
        ('1 2', '12', ''),
        ('0_5', '5', ''),
        ('737-400', '737 400', 'blanks and underscores or hyphens'),
        ('1 - 2', '1-2', 'blanks'),
        ('level-1', 'level1', 'underscores or hyphens'),
        ('007', '7.0', 'zeros'),
        ('_01', '1', 'underscores or hyphens and zeros'),
    ],
)
def test_what_parts_two_numbers_counts(name, other, what):
    assert difference(name, other) == difference(other, name) == what


@given(st.text(max_size=8), st.text(max_size=8))
@example('0.0', '')  # zeros that end the name only without the underscore
def test_what_differs_is_named_for_names_that_look_alike_only(name, other):
    assert difference(name, name) == ''
    changed = f' {name.upper()}_'
    if changed.casefold() != f' {name}_'.casefold():
        return  # such as the long s
    assert {'blanks', 'underscores or hyphens'} <= set(difference(changed, name).split(' and '))
    if name.isalnum() and other.isalnum() and name.isascii() and other.isascii():
        assert bool(difference(name, other)) == (name != other and name.lower() == other.lower())
