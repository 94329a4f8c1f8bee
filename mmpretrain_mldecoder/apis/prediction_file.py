"""Predictions as JSON lines."""

import json
import os
from collections.abc import Iterable
from pathlib import Path


def write_predictions(predictions: Iterable[dict], out: str | os.PathLike) -> Path:
    """Write one JSON object a line: ``path`` (or ``index``), ``labels``, ``scores``.

    The file is written under a temporary name and then renamed, so that it is complete or absent.

    Args:
        predictions: What :class:`MultiLabelInferencer` gives.
        out (str | PathLike): The file; its folder is made, an older file is replaced.

    Returns:
        Path: ``out``.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f'.{out.name}.{os.getpid()}')
    try:
        with temporary.open('w', encoding='utf-8') as file:
            for prediction in predictions:
                file.write(json.dumps(prediction, ensure_ascii=False) + '\n')
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return out
