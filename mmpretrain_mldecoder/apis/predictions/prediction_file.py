"""Predictions as JSON lines, and as a table for spreadsheets."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...fileio.atomic_write import atomic_write
from ...fileio.json_files import json_line


def write_predictions(predictions: Iterable[dict], out: str | os.PathLike) -> Path:
    """Write one JSON object a line: ``path`` (or ``index``), ``labels``, ``scores``.

    The file is written under a temporary name and then renamed, so that it is complete or absent.

    Args:
        predictions: What :class:`MultiLabelInferencer` gives.
        out (str | PathLike): The file; its folder is made, an older file is replaced.

    Returns:
        Path: ``out``.
    """
    with atomic_write(out) as path, path.open('wb') as file:
        for prediction in predictions:
            file.write(json_line(prediction))
    return Path(out)


def write_prediction_table(
    predictions: Iterable[dict], classes: Sequence[str], out: str | os.PathLike
) -> Path:
    """Write a CSV of one row an image and one column a class.

    The first column is ``path``. A path or a name that a spreadsheet would take for a formula (it
    begins with ``=``, ``+``, ``-``, ``@`` or tab) gets an apostrophe before it,
    which shows as text there. A cell holds the score of a label that is given, with 6 decimals,
    and is empty elsewhere.

    Args:
        predictions: Dicts with ``path``, ``labels`` and ``scores``.
        classes (Sequence[str]): All names, in the order of the columns.
        out (str | PathLike): The file, UTF-8; its folder is made, an older file is replaced.

    Returns:
        Path: ``out``.
    """
    with (
        atomic_write(out) as path,
        path.open('w', encoding='utf-8', errors='surrogateescape', newline='') as file,
    ):
        rows = csv.writer(file, lineterminator='\n')
        rows.writerow(['path', *map(_as_text, classes)])
        for prediction in predictions:
            given = dict(zip(prediction['labels'], prediction['scores'], strict=True))
            cells = (f'{given[name]:.6f}' if name in given else '' for name in classes)
            rows.writerow([_as_text(prediction['path']), *cells])
    return Path(out)


def _as_text(cell: str) -> str:
    """Keep a spreadsheet from running what a file is called."""
    cell = cell.replace('\r', r'\r')  # the csv module would not quote it, and begin a new row
    return f"'{cell}" if cell.startswith(('=', '+', '-', '@', '\t')) else cell
