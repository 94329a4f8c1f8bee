"""The table of the metric: classes, counts and AP."""

import numpy as np
import pytest

from mmpretrain_mldecoder.evaluation.metrics.multi_label_map import class_table


@pytest.mark.parametrize(('num_classes', 'width'), [(1, 120), (7, 1), (7, 80), (80, 120)])
def test_table_has_every_class_once_in_order_and_aligned(num_classes, width):
    rng = np.random.default_rng(0)
    classes = [f'class {i}' + ' x' * (i % 3) for i in range(num_classes)]
    positives, ap = rng.integers(0, 10000, num_classes), rng.random(num_classes)
    lines = class_table(classes, dict(positives=positives), ap, width).split('\n')
    rows = [line.split('|') for line in lines]
    # Down the first column, then down the next.
    cells = [row[i] for i in range(len(rows[0])) for row in rows[1:] if i < len(row)]
    expected = [
        (name, str(count), f'{100 * value:.2f}')
        for name, count, value in zip(classes, positives, ap, strict=True)
    ]
    assert [tuple(cell.strip().rsplit(maxsplit=2)) for cell in cells] == expected
    for line in lines:
        bars, of_header = ([i for i, c in enumerate(one) if c == '|'] for one in (line, lines[0]))
        assert bars == of_header[: len(bars)]
        assert len(line) <= max(width, len(lines[0].split('  |  ')[0]))


def test_table_with_a_missing_class_and_wide_characters():
    positives = dict(positives=np.array([0, 3]))
    table = class_table(['狗', 'cat'], positives, np.array([np.nan, 1.0]), width=1)
    header, first, second = table.split('\n')
    assert first.endswith('-') and second.endswith('100.00')
    assert len(first) + 1 == len(second) == len(header)  # 狗 is one character, two columns
