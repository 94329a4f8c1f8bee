"""What only the user knows about label files; each field answers one ``OpenQuestion``."""

from dataclasses import dataclass, fields

YES, NO, UNKNOWN = 'yes', 'no', 'unknown'
TARGETS = {YES: 1, NO: 0, UNKNOWN: -1}


@dataclass(frozen=True)
class Answers:
    """Answers to the questions that label files leave open; None is asked for where it matters.

    Attributes:
        labels (str): The label file, or a glob of several, relative to the data.
        format (str): Name of a format, a key of ``FORMATS``.
        encoding (str): Of text that is not Unicode, such as ``'cp1252'``.
        delimiter (str): Between the columns of a CSV; a character, or its name.
        separator (str): Between the labels of a cell, as ``delimiter``; ``'none'`` if a cell is
            one label.
        image_column (str): The column of a CSV with the images.
        label_columns (tuple[str, ...]): Those with the labels: lists, or one a class.
        class_names (str): A file with the names of numbered classes, one a line, or in JSON or
            YAML, relative to the data.
        group_column (str): The column of what a split keeps together; never asked for.
        minus_one (str): What -1 means, ``'no'`` or ``'unknown'``. 0 is the other one.
        zero (str): What 0 means where -1 is ``'no'``: ``'no'`` or ``'unknown'``.
        empty (str): What an empty cell of a class means, as ``minus_one``; or no row of a class.
        no_label (tuple[str, ...]): Names that mean that an image has no label.
        boxes (str): Whether boxes are labels, too, beside labels of images: ``'yes'`` or ``'no'``.
        difficult (str): Whether a class that an image shows in difficult objects only is a label:
            ``'yes'``, ``'no'`` or ``'unknown'``.
        annotators (str): Labels that only some annotators gave: ``'yes'``, ``'no'``, ``'unknown'``.
        unlisted (str): Images without a file of labels, or a label: ``'no'``, they show no
            class, or ``'skip'``.
    """

    labels: str | None = None
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    separator: str | None = None
    image_column: str | None = None
    label_columns: tuple[str, ...] | None = None
    class_names: str | None = None
    group_column: str | None = None
    minus_one: str | None = None
    zero: str | None = None
    empty: str | None = None
    no_label: tuple[str, ...] | None = None
    boxes: str | None = None
    difficult: str | None = None
    annotators: str | None = None
    unlisted: str | None = None

    def __post_init__(self):
        for field in fields(self):
            value, allowed = getattr(self, field.name), _ALLOWED.get(field.name)
            if value is not None and allowed and value not in allowed:
                raise ValueError(f'{field.name} must be one of {", ".join(allowed)}, got {value!r}')


_ALLOWED = {
    **dict.fromkeys(('minus_one', 'zero', 'empty'), (NO, UNKNOWN)),
    **dict.fromkeys(('difficult', 'annotators'), (YES, NO, UNKNOWN)),
    'boxes': (YES, NO),
    'unlisted': (NO, 'skip'),
}
