"""The table and the figure of the study of classes."""

from class_scaling import draw, rows

POINTS = dict(
    group={80: dict(seconds=1.0, megabytes=100.0), 1000: dict(seconds=2.0, megabytes=110.0)},
    full={80: dict(seconds=1.0, megabytes=100.0)},
)


def test_a_row_for_each_size_and_quantity():
    table = rows(POINTS, batch=2)
    assert [(row.unit, row.ours, row.peer) for row in table] == [
        ('s', 1.0, 1.0),
        ('s', 2.0, None),
        ('MB', 100.0, 100.0),
        ('MB', 110.0, None),
    ]


def test_figure_is_a_small_png(tmp_path):
    draw(POINTS, 2, tmp_path / 'figure.png')
    content = (tmp_path / 'figure.png').read_bytes()
    assert content.startswith(b'\x89PNG')
    assert len(content) < 100_000
