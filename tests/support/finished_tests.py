"""The rows of the result tables, and files of finished tests, written by hand."""

import json
from functools import cache
from pathlib import Path

from mmpretrain_mldecoder.analysis.model_table import TableRow, read_rows
from mmpretrain_mldecoder.engine.runners.finished_test import settings_digest

ROOT = Path(__file__).parents[2]


@cache
def rows() -> list[TableRow]:
    return read_rows(ROOT / 'model-index.yml')


def row(name: str) -> TableRow:
    return next(row for row in rows() if row.name == name)


def write_test(path: Path, name: str, metrics: dict, images: int = 5000, **changes) -> None:
    """Write what a finished test of a row leaves behind, by hand."""
    one = row(name)
    content = dict(
        config=str(one.path.relative_to(ROOT)),
        checkpoint='work_dirs/a/best.pth',
        weights='ema',
        metrics=metrics,
        images=images,
        settings=settings_digest(one.cfg),
        date='2026-03-01T12:00:00+00:00',
        versions={},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content | changes))
