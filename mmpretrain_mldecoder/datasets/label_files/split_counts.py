"""How many images of each split show each class, as numbers and as a table for terminals."""

from typing import NamedTuple

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ...fileio.terminal import printable
from .label_table import SPLITS, LabelTable

_FEW = 10  # images of a label, below which its share of a split says nothing
_MOST_ROWS = 60


class SplitCounts(NamedTuple):
    """How many images of each split show each class, or may show it."""

    classes: tuple[str, ...]
    images: dict[str, int]
    positives: dict[str, np.ndarray]  # (C,) of each split
    unknown: dict[str, np.ndarray]

    def with_ap(self, split: str, unknown_is_absent: bool) -> np.ndarray:
        """Return ``(C,)``: the classes that images of a split show and others are known to lack."""
        positives, unknown = self.positives[split], self.unknown[split]
        negatives = self.images[split] - positives - (0 if unknown_is_absent else unknown)
        return (positives > 0) & (negatives > 0)

    def largest_deviation(self) -> tuple[str, str, float] | None:
        """Return the class and split whose share differs most, and its difference.

        The share is that of the class's images which are in the split; the difference is to the
        split's share of all images. Classes with fewer than 10 images do not count.
        """
        totals, number = sum(self.positives.values()), sum(self.images.values())
        found = [
            (self.classes[i], split, counts[i] / totals[i] - self.images[split] / number)
            for split, counts in self.positives.items()
            for i in np.flatnonzero(totals >= _FEW).tolist()
        ]
        return max(found, key=lambda each: abs(each[2]), default=None)


def count_splits(table: LabelTable) -> SplitCounts:
    """Count the images of each split that show each class, and where that is not known."""
    targets = {
        name: table.targets[[split == name for split in table.splits]]
        for name in SPLITS
        if name in table.splits
    }
    return SplitCounts(
        table.classes,
        {name: len(of_split) for name, of_split in targets.items()},
        {name: (of_split == 1).sum(axis=0) for name, of_split in targets.items()},
        {name: (of_split == -1).sum(axis=0) for name, of_split in targets.items()},
    )


def split_counts_table(counts: SplitCounts) -> Group:
    """Return how many images of each split show each class, and the largest deviation below.

    If labels are unknown, also how many lack it, and of how many it is not known. Of more than
    ``_MOST_ROWS`` classes, those with the most and the fewest images are shown.
    """
    with_unknown = any(unknown.any() for unknown in counts.unknown.values())
    table = Table(title='images of each class', title_justify='left')
    table.add_column('class')
    columns = []
    for split, number in counts.images.items():
        table.add_column(split, justify='right')
        positives, unknown = counts.positives[split], counts.unknown[split]
        columns.append([*map('{:,}'.format, (*positives, number))])
        for what, values in dict(absent=number - positives - unknown, unknown=unknown).items():
            if with_unknown:
                table.add_column(what, justify='right', style='dim')
                columns.append([*map('{:,}'.format, values), ''])
    order = np.argsort(-sum(counts.positives.values()), kind='stable').tolist()
    half = _MOST_ROWS // 2
    left_out = order[half:-half]
    shown = range(len(order)) if len(order) <= _MOST_ROWS else order[:half] + order[-half:]
    cells = [*zip(*columns, strict=True)]
    for place, i in enumerate(shown, 1):
        name = Text(printable(counts.classes[i]))
        table.add_row(name, *cells[i], end_section=place == len(shown))
        if len(shown) < len(order) and place == half:
            table.add_row(f'... {len(left_out):,} classes between ...', style='dim')
    table.add_row('all images', *cells[-1])
    if (largest := counts.largest_deviation()) is None:
        return Group(table)
    name, split, difference = largest
    share = counts.images[split] / sum(counts.images.values())
    text = (
        f'largest deviation: {split} has {share:.1%} of all images and '
        f'{abs(difference) * 100:.1f} points {"more" if difference > 0 else "less"} of those of '
        f'{printable(name)} (classes with {_FEW} images or more)'
    )
    return Group(table, Text(text))
