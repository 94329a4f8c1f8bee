"""What 1, 0, -1, an empty cell, difficult objects and boxes mean.

Both of these are common, so that a file with -1 does not say which one it follows:

- 1 yes, 0 no, -1 unknown: CSL, MMPretrain's metrics, CheXpert;
- 1 yes, -1 no, 0 unknown: VOC's lists, LESA, single positive labels (Cole et al.).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ...errors import OpenQuestion
from ...fileio.terminal import counted, printable
from .answers import NO, TARGETS, UNKNOWN, YES
from .label_source import LabelSource
from .label_table import LabelRow

_BOX, _BOXES = 'box or other shape', 'boxes or other shapes'
_VALUES = {
    **dict.fromkeys(('1', '1.0', 'true', 'yes', 't', 'y', 'x'), 1),
    **dict.fromkeys(('0', '0.0', 'false', 'no', 'f', 'n', '-0.0'), 0),
    **dict.fromkeys(('-1', '-1.0'), -1),
    **dict.fromkeys(('', 'na', 'nan'), None),
}
_NUMBER = re.compile(r'-?\d+(\.\d*)?')
DIFFICULT = 2  # in the rows of readers
_MEANINGS = {NO: 'the image does not show the class', UNKNOWN: 'it is not known'}


def are_values(texts: Iterable[str]) -> bool:
    """Whether all are values of a class, and not all are empty.

    Letters are names if two mean yes: chromosomes are X or Y.
    """
    different = {text.strip().lower() for text in set(texts)}
    if not different <= _VALUES.keys() or len({'t', 'y', 'x'} & different) > 1:
        return False
    return any(_VALUES[text] is not None for text in different)


def refuse_vectors(lists: Sequence[Sequence[str]], source: LabelSource) -> None:
    """Refuse lists of names that are rather a value for each class: numbers, equally many.

    Raises:
        ValueError: If all have the same length, and one has the same number twice; names a value
            that is none where most are 1, 0 and -1.
    """
    number = len(lists[0]) if lists else 0
    if any(len(of_row) != number or not all(map(_NUMBER.fullmatch, of_row)) for of_row in lists):
        return
    others = [(i, each) for i, row in enumerate(lists, 1) for each in row if each not in _VALUES]
    for place, of_row in enumerate(lists, 1):
        if len({*of_row}) < number:
            if 0 < len(others) * 2 < len(lists) * number:
                raise ValueError(
                    f'{source.path}: row {others[0][0]} has {others[0][1]!r} among the values of '
                    f'{number} classes: write 1, 0 or -1'
                )
            raise ValueError(
                f'{source.path}: row {place} has the labels {", ".join(of_row[:20])}, which look '
                f'like a value for each of {number} classes. Write the names or numbers of those '
                'that the image shows, or a column a class with 1 and 0'
            )


def targets_of(texts: Iterable[str], source: LabelSource) -> dict[str, int]:
    """Return the target, 1, 0 or -1 for unknown, of each text of all cells of label columns.

    Raises:
        OpenQuestion: About ``minus_one``, ``zero`` or ``empty``, if one occurs.
    """
    counts = Counter(texts)
    value_of = {text: _VALUES[text.strip().lower()] for text in counts}
    totals: Counter[int | None] = Counter()
    for text, count in counts.items():
        totals[value_of[text]] += count

    def meaning(argument: str, what: str) -> int:
        if (given := getattr(source.answers, argument)) is not None:
            return TARGETS[given]
        names = {1: '1', 0: '0', -1: '-1', None: 'empty'}
        listed = ', '.join(
            f'{name} {counted(totals[v], "time")}' for v, name in names.items() if totals[v]
        )
        question = f'{source.path}: the labels are {listed}. What does {what} mean?'
        raise OpenQuestion(argument, question, _MEANINGS)

    meanings: dict[int | None, int] = {1: 1, 0: 0}
    if totals[-1]:
        meanings[-1] = meaning('minus_one', '-1')
        if meanings[-1] == 0 and totals[0]:
            meanings[0] = meaning('zero', '0')
    if totals[None]:
        meanings[None] = meaning('empty', 'an empty cell')
    return {text: meanings[value] for text, value in value_of.items()}


def target_of_no_row(column: str, source: LabelSource) -> int:
    """Return the target of a class without a row of an image, where rows may say that it is absent.

    Raises:
        OpenQuestion: About ``empty``.
    """
    if source.answers.empty is None:
        raise OpenQuestion(
            'empty',
            f'{source.path}: where {column!r} is 0, the image lacks the label of the row. What '
            'does it mean that an image has no row of a class?',
            _MEANINGS,
        )
    return TARGETS[source.answers.empty]


def names_at(indices: Sequence[int], names: Sequence[str], where: str) -> list[str]:
    """Return the names of classes by their indices; a ``ValueError`` says where one is wrong."""
    if wrong := [index for index in indices if not 0 <= index < len(names)]:
        raise ValueError(
            f'{where} {wrong[0]}, and the file has {counted(len(names), "class")}: correct it, or '
            'add the class'
        )
    return [names[index] for index in indices]


def settle_difficult(rows: Sequence[LabelRow], source: LabelSource) -> list[LabelRow]:
    """Give ``DIFFICULT``, a class that an image shows in difficult objects only, its target.

    Raises:
        OpenQuestion: About ``difficult``, if one occurs.
    """
    count = sum(list(row.labels.values()).count(DIFFICULT) for row in rows)
    if count and source.answers.difficult is None:
        raise OpenQuestion(
            'difficult',
            f'{source.path}: {counted(count, "time")} an image shows a class in objects marked as '
            'difficult only. Are these labels?',
            {
                YES: 'they are labels',
                NO: "no, the class counts as absent (MMPretrain's training)",
                UNKNOWN: 'the class is unknown (the official test, MMPretrain)',
            },
        )
    targets = {1: 1, 0: 0, DIFFICULT: TARGETS[source.answers.difficult or YES]}
    return [
        row._replace(labels={name: targets[value] for name, value in row.labels.items()})
        for row in rows
    ]


def settle_unlabelled(
    rows: Sequence[LabelRow], unclear: Sequence[str], source: LabelSource
) -> tuple[list[LabelRow], list[str]]:
    """Keep or leave out rows of images that have no label or are not labelled yet; add a note.

    Raises:
        OpenQuestion: About ``unlisted``, if there are ``unclear`` ones.
    """
    if unclear and source.answers.unlisted is None:
        raise OpenQuestion(
            'unlisted',
            f'{source.path}: {counted(len(unclear), "image")} without a label, such as '
            f'{printable(unclear[0])}, which may not be labelled yet. Do they show none of the '
            'classes?',
            {NO: 'they show none', 'skip': 'not labelled yet: leave them out'},
        )
    if not unclear or source.answers.unlisted == NO:
        return [*rows], []
    names = {*unclear}
    return [row for row in rows if row.image not in names], [
        f'{counted(len(names), "image")} without a label left out'
    ]


def texts_of(texts: Iterable[str], source: LabelSource) -> dict[int, str]:
    """Return the text for yes (1) and no (0) in a file whose label columns have these texts."""
    return {1: '1', 0: '0'} | {value: text for text, value in targets_of(texts, source).items()}


def boxes_count(labels: int, boxes: int, source: LabelSource) -> tuple[bool, list[str]]:
    """Return whether boxes are labels, by the answer or as there is nothing else, and notes.

    Raises:
        OpenQuestion: About ``boxes``, if there are labels of images, too.
    """
    if source.answers.boxes is None and labels and boxes:
        raise OpenQuestion(
            'boxes',
            f'{source.path} has {counted(labels, "label")} of images and '
            f'{counted(boxes, _BOX, _BOXES)}. '
            'Are the classes of shapes labels of their image, too?',
            {YES: 'both are labels', NO: 'only the labels of images are'},
        )
    if not boxes:
        return False, []
    if source.answers.boxes == NO:
        return False, [f'{counted(boxes, _BOX, _BOXES)} not used']
    return True, [f'labels are made of {counted(boxes, _BOX, _BOXES)}{", too" if labels else ""}']
