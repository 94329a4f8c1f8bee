"""What the fitting of thresholds found, as text."""

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len

from ...fileio.terminal import printable
from .tuned_thresholds import FALLBACK, GAIN_NAMES, NEVER, TunedThresholds

RARE = 20
"""With fewer positives than this a threshold hangs on a handful of images."""


def threshold_table(tuned: TunedThresholds) -> str:
    """Lay out threshold, positives and held-out F1 (percent) of every class, one a line.

    Where a precision was wanted, it is there too, held-out as well.
    """
    with_precision = tuned.criterion != 'f1'
    precision = ('precision',) if with_precision else ()
    rows = [('class', 'threshold', 'positives', *precision, 'F1 at 0.5', 'tuned', 'change', '')]
    for i, name in enumerate(tuned.classes):
        before, after = 100 * tuned.class_scores[i]
        row = [printable(name), f'{tuned.values[i]:.4f}', str(tuned.positives[i])]
        if with_precision:
            row.append(_number(100 * tuned.class_precision[i, 1]))
        row += [_number(before), _number(after), _number(after - before, '+.1f')]
        rows.append((*row, _remark(tuned, i)))
    return _aligned(rows)


def _remark(tuned: TunedThresholds, i: int) -> str:
    if tuned.without_positives[i]:
        return 'no positives'
    if tuned.unreachable[i]:
        return 'precision not reached'
    return 'rare' if tuned.positives[i] < RARE else ''


def gain_table(tuned: TunedThresholds) -> str:
    """Lay out :data:`GAIN_NAMES` at 0.5 and tuned: mean and deviation over held-out folds."""
    rows = [('', 'at 0.5', 'tuned', 'change')]
    for name in GAIN_NAMES:
        before, after = 100 * tuned.fold_scores[name].T
        cells = (_spread(values, form) for values, form in ((before, '.2f'), (after, '.2f')))
        rows.append((name, *cells, _spread(after - before, '+.2f')))
    return _aligned(rows)


def remarks(tuned: TunedThresholds) -> list[str]:
    """Name the classes that could not be fitted, and say how far the rest can be trusted."""
    folds = tuned.num_folds
    said = [
        f'All in percent and held-out: each image is predicted at thresholds fitted to the other '
        f'{folds - 1} of {folds} folds (mean ± standard deviation over the folds). On the split '
        'that thresholds are fitted to, they gain by construction, so that is not reported.'
    ]
    for mask, what in (
        (tuned.without_positives, f'without positives, threshold {FALLBACK}'),
        (tuned.unreachable, f'never with {tuned.criterion}, threshold {NEVER} (not predicted)'),
        (
            _rare(tuned),
            f'with fewer than {RARE} positives, marked rare: shaky thresholds',
        ),
    ):
        if mask.any():
            said.append(f'{_count(mask)} {what}: {_names(tuned.classes, mask)}.')
    scarce = (tuned.positives < folds) & ~tuned.without_positives
    if scarce.any():
        said.append(
            f'{_count(scarce)} with fewer positives than folds: some folds have none of them, and '
            f'{FALLBACK} stands in where the other folds have none: '
            f'{_names(tuned.classes, scarce)}.'
        )
    return said


def _rare(tuned: TunedThresholds) -> np.ndarray:
    return (tuned.positives < RARE) & ~tuned.without_positives & ~tuned.unreachable


def _count(mask: np.ndarray) -> str:
    return f'{mask.sum()} of {len(mask)} classes'


def _names(classes: Sequence[str], mask: np.ndarray) -> str:
    names = [printable(classes[i]) for i in np.flatnonzero(mask)]
    return ', '.join(names[:10]) + (', ...' if len(names) > 10 else '')


def _number(value: float, form: str = '.1f') -> str:
    return '-' if np.isnan(value) else format(value, form)


def _spread(values: np.ndarray, form: str) -> str:
    values = values[~np.isnan(values)]  # of folds without any positive
    return f'{values.mean():{form}} ± {values.std(ddof=1):.2f}' if len(values) > 1 else '-'


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Put the first and the last column to the left, the others to the right."""
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell + pad if i == 0 or not rows[0][i] else pad + cell
            for i, (cell, pad) in enumerate(
                (cell, ' ' * (width - cell_len(cell)))
                for cell, width in zip(row, widths, strict=True)
            )
        ]
        lines.append('  '.join(cells).rstrip())
    return '\n'.join(lines)
