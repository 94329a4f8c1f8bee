"""A test run for FiftyOne, in the JSON that it documents for image classification.

Source: FiftyOne's user guide, "Importing data", FiftyOneImageClassificationDataset. That format
holds one field, so labels and predictions are two files; FiftyOneDataset, which would hold both,
is the dump of a database and tied to a version.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...fileio.atomic_write import write_file
from .test_run import TestRun

FILES = ('ground_truth.json', 'predictions.json')


def write_fiftyone(
    run: TestRun, classes: Sequence[str], out_dir: str | os.PathLike, thr: float = 0.5
) -> list[Path]:
    """Write ``ground_truth.json`` and ``predictions.json``, with absolute paths of the images.

    Labels with ``score >= thr``, in ``[0, 1]``, are predictions; their confidence is the score. Of
    unknown labels (-1), nothing is written. The folder is made, older files are replaced; the two
    files are returned.

    Raises ``ValueError`` if ``thr`` is out of range, or an image has no path or has it twice.
    """
    if not 0 <= thr <= 1:
        raise ValueError(f'thr must be in [0, 1], but got {thr}')
    if '' in run.images or len(set(run.images)) < len(run.images):
        raise ValueError(
            f'{run.path}: FiftyOne knows images by their paths, but not every sample has an '
            'img_path of its own'
        )
    truths, predictions = {}, {}
    for image, scores, targets in zip(run.images, run.scores, run.targets, strict=True):
        path = os.path.abspath(image)
        truths[path] = [dict(label=classes[label]) for label in np.flatnonzero(targets == 1)]
        found = np.flatnonzero(scores >= thr)
        predictions[path] = [
            dict(label=classes[label], confidence=round(float(scores[label]), 6))
            for label in found[np.argsort(-scores[found], kind='stable')]
        ]
    return [
        write_file(Path(out_dir, name), json.dumps(dict(classes=list(classes), labels=labels)))
        for name, labels in zip(FILES, (truths, predictions), strict=True)
    ]
