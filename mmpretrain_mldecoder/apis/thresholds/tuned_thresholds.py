"""Fit the thresholds of a split, and measure on held-out parts of it what they gain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ...evaluation.functional import (
    best_f1_thresholds,
    class_f1,
    class_mean,
    precision_recall_at_threshold,
    precision_thresholds,
)

FALLBACK = 0.5
"""Threshold of a class without positives, which nothing can be fitted to."""

NEVER = 1.0
"""Threshold of a class that has the wanted precision nowhere: a score of exactly 1 still passes."""

GAIN_NAMES = ('CF1', 'OF1', 'macro F1', 'CP', 'CR', 'OP', 'OR')


@dataclass(frozen=True)
class TunedThresholds:
    """Thresholds fitted to all of a split, and what was measured on its held-out folds.

    Attributes:
        classes: The names.
        criterion: ``'f1'``, or such as ``'precision>=0.9'``.
        values: ``(C,)`` float64 in ``[0, 1]``.
        positives: ``(C,)``, how many images of the split have the class.
        without_positives: ``(C,)`` bool: no positive image, the threshold is :data:`FALLBACK`.
        unreachable: ``(C,)`` bool: the wanted precision holds nowhere, the threshold is
            :data:`NEVER`.
        fold_scores: For each of :data:`GAIN_NAMES` an array ``(folds, 2)``, fractions: of each
            held-out fold at 0.5, and at the thresholds that were fitted to the other folds. macro
            F1 is the mean of the F1s of the classes that are in the fold.
        class_scores: ``(C, 2)``, the F1 of each class at 0.5 and tuned, each image predicted by
            the thresholds of the folds that do not hold it; nan without positives.
        class_precision: ``(C, 2)``, likewise; nan if a class is never predicted.
    """

    classes: list[str]
    criterion: str
    values: np.ndarray
    positives: np.ndarray
    without_positives: np.ndarray
    unreachable: np.ndarray
    fold_scores: dict[str, np.ndarray]
    class_scores: np.ndarray
    class_precision: np.ndarray

    @property
    def num_folds(self) -> int:
        """How many folds were held out."""
        return len(self.fold_scores['CF1'])

    def for_checkpoint(self, split: str, source: str, num_images: int) -> dict:
        """Return what a checkpoint stores: plain values, see :func:`stored_thresholds`.

        Args:
            split (str): Name of the split.
            source (str): Its images, see :func:`image_source`.
            num_images (int): How many.
        """
        return dict(
            classes=list(self.classes),
            values=self.values.tolist(),
            criterion=self.criterion,
            split=split,
            source=source,
            num_images=num_images,
            positives=self.positives.tolist(),
            date=datetime.now().astimezone().isoformat(timespec='seconds'),
        )


def tune_thresholds(
    scores: np.ndarray,
    targets: np.ndarray,
    classes: Sequence[str],
    precision: float | None = None,
    num_folds: int = 5,
    seed: int = 0,
) -> TunedThresholds:
    """Fit one threshold a class to a split, and cross-validate the gain.

    On the split that thresholds were fitted to, their F1 cannot be worse than that at 0.5, whatever
    they are worth: so nothing is measured there. The images are dealt to folds at random; each
    fold is predicted at thresholds that were fitted to the others.

    A class with fewer positives than folds has none in some fold, and a class with a single one has
    none to fit to when that is held out; it is then predicted at :data:`FALLBACK`.

    Args:
        scores (np.ndarray): Probabilities in ``[0, 1]``.
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown.
        classes (Sequence[str]): ``C`` names.
        precision (float, optional): Wanted precision in ``(0, 1]``. Defaults to None: the best F1.
        num_folds (int): At least 2. Defaults to 5.
        seed (int): Of the deal: the same images and seed give the same folds. Defaults to 0.

    Shape:
        - scores, targets: ``(N, C)``.

    Raises:
        ValueError: If an argument is out of range, there are fewer images than folds, or what
            :func:`best_f1_thresholds` raises.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    if num_folds < 2:
        raise ValueError(f'there must be at least 2 folds, got {num_folds}')
    if len(scores) < num_folds:
        raise ValueError(f'{len(scores)} images cannot be dealt to {num_folds} folds')
    if scores.shape[1:] != (len(classes),):
        raise ValueError(f'{len(classes)} names of classes for scores of shape {scores.shape}')
    fitted = _fit(scores, targets, precision)

    fold_of = np.random.default_rng(seed).permutation(len(scores)) % num_folds
    predictions = np.empty((2, *scores.shape), dtype=bool)  # at 0.5, tuned
    fold_scores = {name: np.empty((num_folds, 2)) for name in GAIN_NAMES}
    for fold in range(num_folds):
        held_out = fold_of == fold
        tuned = _usable(_fit(scores[~held_out], targets[~held_out], precision))
        for column, thr in enumerate((np.full(len(classes), 0.5), tuned)):
            images = scores[held_out], targets[held_out]
            predictions[column, held_out] = images[0] >= thr
            overall = precision_recall_at_threshold(*images, thr)
            of_classes = class_f1(images[0] >= thr, images[1])
            overall['macro F1'] = class_mean(of_classes)
            for name in GAIN_NAMES:
                fold_scores[name][fold, column] = overall[name]
    return TunedThresholds(
        classes=list(classes),
        criterion='f1' if precision is None else f'precision>={float(precision):g}',
        values=_usable(fitted),
        positives=(targets == 1).sum(axis=0),
        without_positives=np.isnan(fitted),
        unreachable=np.isinf(fitted),
        fold_scores=fold_scores,
        class_scores=np.stack([class_f1(one, targets) for one in predictions], axis=1),
        class_precision=np.stack([_precision(one, targets) for one in predictions], axis=1),
    )


def _fit(scores: np.ndarray, targets: np.ndarray, precision: float | None) -> np.ndarray:
    if precision is None:
        return best_f1_thresholds(scores, targets)
    return precision_thresholds(scores, targets, precision)


def _precision(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    hits = (predictions & (targets == 1)).sum(axis=0)
    predicted = (predictions & (targets != -1)).sum(axis=0)
    return np.where(predicted == 0, np.nan, hits / np.maximum(predicted, 1))


def _usable(fitted: np.ndarray) -> np.ndarray:
    """Put numbers in ``[0, 1]`` in the place of nan and inf."""
    return np.where(np.isnan(fitted), FALLBACK, np.minimum(fitted, NEVER))
