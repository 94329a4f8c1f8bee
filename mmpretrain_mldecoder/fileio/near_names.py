"""Names that look alike: the one that may be meant, and what differs."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from unicodedata import category, normalize

from .terminal import printable


def _without(separators: str) -> Callable[[str], str]:
    """Return a change that takes separators away; one stays where they part two digits."""
    runs = re.compile(rf'((?<=\d){separators}+(?=\d))|{separators}+')
    return lambda name: runs.sub(lambda run: '_' if run[1] else '', name)


# What two names can differ in and still look the same, and the change that takes it away: in this
# order, as zeros lead or end a number only where nothing else stands around it.
DIFFERENCES: dict[str, Callable[[str], str]] = {
    'invisible characters': lambda name: ''.join(c for c in name if category(c) != 'Cf'),
    'Unicode form (NFC, NFD, full width)': lambda name: normalize('NFKC', name),
    'upper and lower case': str.casefold,
    'blanks': _without(r'\s'),
    'underscores or hyphens': _without('[_-]'),
    'zeros': lambda name: re.sub(r'^0+(?=\d)|(?<=\d)\.0+$', '', name),
}


def plain_name(name: str, differences: Mapping[str, Callable] = DIFFERENCES) -> str:
    """Return a name without what is easily mistaken."""
    for change in differences.values():
        name = change(name)
    return name


def difference(
    name: str, other: str, differences: Mapping[str, Callable[[str], str]] = DIFFERENCES
) -> str:
    """Return in what two names differ, such as ``'blanks'``; '' if they do not look the same."""
    if plain_name(name, differences) != plain_name(other, differences):
        return ''
    found = []
    for what in differences:
        rest = {key: change for key, change in differences.items() if key != what}
        if plain_name(name, rest) != plain_name(other, rest):
            found.append(what)
    return ' and '.join(found)


def near_names(name: str, names: Iterable[str]) -> str:
    """Return ``'; near: A, B'``, the names that look alike, or ''.

    Of names that differ in form only (case, blanks, Unicode form, ...) it says in what.
    """
    names = sorted(names)
    same = [(other, difference(name, other)) for other in names]
    near = [f'{printable(other)} (differs in {what})' for other, what in same if what]
    if not near:
        lowered: dict[str, str] = {}
        for other in names:
            lowered.setdefault(other.lower(), other)
        longer = [key for key in lowered if len(name) > 3 and name.lower() in key]
        longer.sort(key=lambda key: not key.startswith(name.lower()))
        close = longer or difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.75)
        near = [printable(lowered[key]) for key in close]
    return f'; near: {", ".join(near[:3])}' if near else ''
