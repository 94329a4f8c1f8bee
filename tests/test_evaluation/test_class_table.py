import numpy as np
import pytest

from mmpretrain_mldecoder.evaluation.metrics.multi_label_map import class_table


@pytest.mark.parametrize('num_classes', [1, 2, 3, 7, 80])
@pytest.mark.parametrize('width', [1, 80, 120, 200])
def test_every_class_once_in_order_and_aligned(num_classes, width):
    rng = np.random.default_rng(0)
    classes = [f'class {i}' + ' x' * (i % 3) for i in range(num_classes)]
    positives, ap = rng.integers(0, 10000, num_classes), rng.random(num_classes)
    lines = class_table(classes, positives, ap, width).split('\n')
    rows = [line.split('|') for line in lines]
    assert len({len(cell.strip()) for cell in rows[0]}) == 1

    # Down the first column, then down the next.
    cells = [row[i] for i in range(len(rows[0])) for row in rows[1:] if i < len(row)]
    expected = [
        (name, str(count), f'{100 * value:.2f}')
        for name, count, value in zip(classes, positives, ap, strict=True)
    ]
    assert [tuple(cell.strip().rsplit(maxsplit=2)) for cell in cells] == expected
    # A bar stands at the same place in every line that has it, and no line is too wide.
    for line in lines:
        assert [i for i, c in enumerate(line) if c == '|'] == [
            i for i, c in enumerate(lines[0]) if c == '|'
        ][: line.count('|')]
        assert len(line) <= max(width, len(lines[0].split('  |  ')[0]))


def test_missing_class_and_wide_characters():
    table = class_table(['狗', 'cat'], np.array([0, 3]), np.array([np.nan, 1.0]), width=1)
    header, first, second = table.split('\n')
    assert first.rstrip().endswith('-')
    assert second.rstrip().endswith('100.00')
    assert len(first) + 1 == len(second) == len(header)  # 狗 is one character, two columns
