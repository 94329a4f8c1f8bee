"""Predictions and labels of a test run, and the names of its classes."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from ...apis.trained_model import dataset_class_names
from ...checkpoints.classes import compare_classes
from ...checkpoints.restricted_pickle import read_predictions
from ...evaluation.functional.average_precision import check_scores_and_targets
from ...evaluation.metrics.sample_arrays import sample_arrays
from ...fileio.terminal import counted


def read_class_names(cfg: Config, run: 'TestRun') -> tuple[list[str], str | None]:
    """Return the class names of the config's test dataset, whose images need not be there.

    Without its annotations they are those that the predictions have, or else numbers, and the
    second value says why; it is None with names. Raises ``ValueError`` if the config has no test
    dataset, or other classes than the predictions.
    """
    num_classes = run.num_classes
    if cfg.get('test_dataloader') is None:
        raise ValueError(f'{cfg.filename} has no test_dataloader: it has no classes to report on')
    try:
        names = dataset_class_names(cfg.test_dataloader.dataset)
    except OSError as error:
        if run.classes is not None:
            return run.classes, None
        return [f'class {i}' for i in range(num_classes)], f'The classes have no names: {error}'
    if len(names) != num_classes:
        raise ValueError(
            f'{cfg.filename} tests {counted(len(names), "class")}, but the predictions have '
            f'{num_classes}: they are of another config'
        )
    change = compare_classes(run.classes, names)
    if change is not None and not change.is_same:
        difference = change.first_difference(f'the test dataset of {cfg.filename}', str(run.path))
        raise ValueError(f'{difference}: they are of another config, or of other label files')
    return names, None


@dataclass(frozen=True)
class TestRun:
    """The predictions and labels of ``N`` images and ``C`` classes.

    ``size_masks`` has one :func:`~mmpretrain_mldecoder.evaluation.object_size_mask` an image, where
    the samples have the areas of their objects.
    """

    __test__ = False  # no test class of pytest's

    path: Path  # the file they come from
    date: datetime  # when that file was written
    images: list[str]  # N paths as the test had them; empty text where there was none
    scores: np.ndarray  # (N, C) float32 probabilities: of the EMA weights where both were tested
    targets: np.ndarray  # (N, C) int8: 1 positive, 0 negative, -1 unknown
    classes: list[str] | None = None  # C names, where the file has them
    raw_scores: np.ndarray | None = None  # (N, C), of the raw weights, where both were tested
    size_masks: np.ndarray | None = None  # (N, C) uint8

    @property
    def num_classes(self) -> int:
        """Number of classes ``C``."""
        return self.scores.shape[1]


def read_test_run(path: str | Path) -> TestRun:
    """Read a file of ``tools/test.py --out``.

    Raises ``FileNotFoundError``, and ``ValueError`` if it is something else (see
    :func:`read_predictions`), the labels do not fit the scores, or the scores are no probabilities.
    """
    path = Path(path).expanduser()
    samples = read_predictions(path)
    with_sizes = all({'instance_labels', 'instance_areas'} <= sample.keys() for sample in samples)
    try:
        arrays = sample_arrays(samples, with_sizes=with_sizes)
        raw = None
        if all('pred_score_raw' in sample for sample in samples):
            raw = torch.stack([sample['pred_score_raw'].float() for sample in samples]).numpy()
            _check(raw, arrays['targets'])
        _check(arrays['scores'], arrays['targets'])
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise ValueError(f'{path} does not hold the predictions of one test: {error}') from error
    return TestRun(
        path=path,
        date=datetime.fromtimestamp(path.stat().st_mtime).astimezone(),
        images=[str(sample.get('img_path') or '') for sample in samples],
        scores=arrays['scores'],
        targets=arrays['targets'],
        classes=[*map(str, samples[0].get('classes') or ())] or None,
        raw_scores=raw,
        size_masks=arrays.get('size_masks'),
    )


def _check(scores: np.ndarray, targets: np.ndarray) -> None:
    check_scores_and_targets(scores, targets)
    low, high = scores.min(), scores.max()
    if low < 0 or high > 1:
        given = f'from {low:.3g} to {high:.3g}'
        raise ValueError(f'scores must be probabilities, in [0, 1], but go {given}')


def check_same_images(run: TestRun, other: TestRun) -> None:
    """Raise a ``ValueError`` unless two runs have the same images, classes and labels, in order.

    Images are compared by file name, as the folders may differ from machine to machine.
    """
    names, others = ([Path(image).name for image in one.images] for one in (run, other))
    if run.scores.shape != other.scores.shape:
        numbers = f'{counted(len(names), "image")} and {counted(run.num_classes, "class")}'
        reason = f'{numbers} against {len(others)} and {other.num_classes}'
    elif names != others:
        index = next(i for i in range(len(names)) if names[i] != others[i])
        reason = (
            f'image {index} is {names[index]!r} in one and {others[index]!r} in the other. Test '
            'both on the same split'
        )
    elif (run.targets != other.targets).any():
        index, label = np.argwhere(run.targets != other.targets)[0].tolist()
        reason = f'they have other labels for class {label} of image {index}, {names[index]!r}'
    else:
        return
    raise ValueError(f'{run.path} and {other.path} cannot be compared: {reason}')
