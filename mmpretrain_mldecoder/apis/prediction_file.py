"""Predictions as JSON lines."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from ..atomic_write import atomic_write


def write_predictions(predictions: Iterable[dict], out: str | os.PathLike) -> Path:
    """Write one JSON object a line: ``path`` (or ``index``), ``labels``, ``scores``.

    The file is written under a temporary name and then renamed, so that it is complete or absent.

    Args:
        predictions: What :class:`MultiLabelInferencer` gives.
        out (str | PathLike): The file; its folder is made, an older file is replaced.

    Returns:
        Path: ``out``.
    """
    with atomic_write(out) as path, path.open('w', encoding='utf-8') as file:
        for prediction in predictions:
            file.write(json.dumps(prediction, ensure_ascii=False) + '\n')
    return Path(out)
