"""What 1, 0, -1 and an empty cell of a class mean.

Both of these are common, so that a file with -1 does not say which one it follows:

- 1 yes, 0 no, -1 unknown: CSL, MMPretrain's metrics, CheXpert;
- 1 yes, -1 no, 0 unknown: VOC's lists, LESA, single positive labels (Cole et al.).
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from ...errors import OpenQuestion
from .answers import NO, UNKNOWN, Answers

_VALUES = {
    **dict.fromkeys(('1', '1.0', 'true', 'yes'), 1),
    **dict.fromkeys(('0', '0.0', 'false', 'no', '-0.0'), 0),
    **dict.fromkeys(('-1', '-1.0'), -1),
    '': None,
}
_TARGETS = {NO: 0, UNKNOWN: -1}
_MEANINGS = {NO: 'the image does not show the class', UNKNOWN: 'it is not known'}


def are_values(texts: Iterable[str]) -> bool:
    """Whether all are values of a class, and not all are empty."""
    different = {text.strip().lower() for text in set(texts)}
    return different <= _VALUES.keys() and different != {''}


def targets_of(counts: Mapping[str, int], source: object, answers: Answers) -> dict[str, int]:
    """Return the target, 1, 0 or -1 for unknown, of each text.

    Args:
        counts (Mapping): How often the label columns have each text.
        source (object): Where they are, for the question.
        answers (Answers): ``minus_one``, ``zero`` and ``empty``.

    Raises:
        OpenQuestion: If the meaning of one that occurs is not given.
    """
    totals: Counter[int | None] = Counter()
    for text, count in counts.items():
        totals[_VALUES[text.strip().lower()]] += count
    listed = ', '.join(
        f'{"empty" if value is None else value} {totals[value]:,} times'
        for value in (1, 0, -1, None)
        if totals[value]
    )
    meanings: dict[int | None, int] = {1: 1, 0: 0}
    if totals[-1]:
        meanings[-1] = _answer('minus_one', '-1', answers.minus_one, source, listed)
        if meanings[-1] == 0 and totals[0]:
            meanings[0] = _answer('zero', '0', answers.zero, source, listed)
    if totals[None]:
        meanings[None] = _answer('empty', 'an empty cell', answers.empty, source, listed)
    return {text: meanings[_VALUES[text.strip().lower()]] for text in counts}


def _answer(argument: str, what: str, given: str | None, source: object, listed: str) -> int:
    if given is None:
        raise OpenQuestion(
            argument, f'{source}: the labels are {listed}. What does {what} mean?', _MEANINGS
        )
    return _TARGETS[given]
