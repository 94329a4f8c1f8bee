"""Whether boxes and the like are labels, where a file also has labels of whole images."""

from ...errors import OpenQuestion
from .answers import NO, Answers


def boxes_count(labels: int, boxes: int, source: object, answers: Answers) -> bool:
    """Return whether boxes are labels: if the answer says so, or if there is nothing else.

    Raises:
        OpenQuestion: About ``boxes``, if there are both.
    """
    if answers.boxes is not None:
        return answers.boxes != NO
    if labels and boxes:
        raise OpenQuestion(
            'boxes',
            f'{source} has {labels:,} labels of images and {boxes:,} boxes or other shapes. Are '
            'the classes of shapes labels of their image, too?',
            {'yes': 'both are labels', NO: 'only the labels of images are'},
        )
    return bool(boxes)


def boxes_note(labels: int, boxes: int, count: bool) -> list[str]:
    """Return a note of what was used of the two."""
    if count:
        return [f'labels are made of {boxes:,} boxes or other shapes{", too" if labels else ""}']
    return [f'{boxes:,} boxes or other shapes are not used'] if boxes else []
