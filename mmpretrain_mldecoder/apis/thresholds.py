"""Thresholds per class: fitted to a split, reported, and stored in the meta of a checkpoint."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..checkpoints.classes import compare_classes
from ..checkpoints.load import load_weights_only
from ..evaluation.functional import (
    best_f1_thresholds,
    class_f1,
    class_mean,
    precision_recall_at_threshold,
    precision_thresholds,
)
from ..fileio.atomic_write import atomic_write
from ..fileio.terminal import listed, printable

RARE = 20  # with fewer positives, a threshold of its own would depend on a handful of images
MOST = 2  # predictions of a class for a positive, where the best F1 is wanted
FALLBACK = 0.5  # where no class has positives
NEVER = 1.0  # of a class that reaches the precision nowhere; a score of exactly 1 still passes

GAIN_NAMES = ('CF1', 'OF1', 'macro F1', 'CP', 'CR', 'OP', 'OR')


@dataclass(frozen=True)
class TunedThresholds:
    """Thresholds fitted to all of a split, and what was measured on its held-out folds."""

    classes: list[str]  # C names
    criterion: str  # 'f1', or such as 'precision>=0.9'
    values: np.ndarray  # (C,) float64 in [0, 1]
    positives: np.ndarray  # (C,), how many images of the split have the class
    rare: np.ndarray  # (C,) bool: the classes that share a threshold
    without_negatives: np.ndarray  # (C,) bool: no negative image, the threshold means nothing
    unreachable: np.ndarray  # (C,) bool: no threshold reaches the precision, it is 1
    # For each of GAIN_NAMES (folds, 2) fractions: of each held-out fold at 0.5, and at the
    # thresholds that were fitted to the other folds. macro F1 is the mean of the F1s of the classes
    # that are in the fold.
    fold_scores: dict[str, np.ndarray]
    # (C, 2), the F1 of each class at 0.5 and tuned, each image predicted by the thresholds of the
    # folds that do not hold it; nan without positives.
    class_scores: np.ndarray
    class_precision: np.ndarray  # (C, 2), likewise; nan if a class is never predicted

    def for_checkpoint(self, split: str, source: str, num_images: int) -> dict:
        """Return what a checkpoint stores: plain values, see :func:`stored_thresholds`."""
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
    """Fit one threshold per class to a split, and cross-validate the gain.

    Classes with fewer than ``RARE`` positives have one threshold together, fitted to the scores of
    all of them, and to those of the next frequent classes as long as there are not ``RARE``
    positives. For the best F1, a class is predicted for at most ``MOST`` times as many images as
    have it.

    Nothing is measured on the images that thresholds were fitted to, where F1 can only gain: each
    of several random folds is predicted at thresholds that were fitted to the others.

    Args:
        scores (np.ndarray): Probabilities in ``[0, 1]``, ``(N, C)``.
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown, ``(N, C)``.
        classes (Sequence[str]): ``C`` names.
        precision (float, optional): Wanted precision in ``(0, 1]``. Defaults to None: the best F1.
        num_folds (int): At least 2. Defaults to 5.
        seed (int): Of the split into folds: the same seed gives the same folds. Defaults to 0.

    Raises:
        ValueError: If an argument is out of range, there are fewer images than folds, or what
            :func:`best_f1_thresholds` raises.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    if num_folds < 2:
        raise ValueError(f'there must be at least 2 folds, got {num_folds}')
    if len(scores) < num_folds:
        raise ValueError(f'{len(scores)} images cannot be split into {num_folds} folds')
    if scores.shape[1:] != (len(classes),):
        raise ValueError(f'{len(classes)} class names for scores of shape {scores.shape}')

    criterion, fit = 'f1', partial(best_f1_thresholds, most=MOST)
    if precision is not None:
        criterion = f'precision>={float(precision):g}'
        fit = partial(precision_thresholds, precision=precision)
    fitted = _fit(scores, targets, fit)
    positives = (targets == 1).sum(axis=0)
    fold_of = np.random.default_rng(seed).permutation(len(scores)) % num_folds
    predictions = np.empty((2, *scores.shape), dtype=bool)  # at 0.5, tuned
    fold_scores = {name: np.empty((num_folds, 2)) for name in GAIN_NAMES}
    for fold in range(num_folds):
        held_out = fold_of == fold
        tuned = _usable(_fit(scores[~held_out], targets[~held_out], fit))
        for column, thr in enumerate((np.full(len(classes), 0.5), tuned)):
            predicted = predictions[column, held_out] = scores[held_out] >= thr
            measured = precision_recall_at_threshold(scores[held_out], targets[held_out], thr)
            measured['macro F1'] = class_mean(class_f1(predicted, targets[held_out]))
            for name in GAIN_NAMES:
                fold_scores[name][fold, column] = measured[name]
    return TunedThresholds(
        classes=list(classes),
        criterion=criterion,
        values=_usable(fitted),
        positives=positives,
        rare=positives < RARE,
        without_negatives=(targets != 0).all(axis=0),
        unreachable=np.isinf(fitted),
        fold_scores=fold_scores,
        class_scores=np.stack([class_f1(one, targets) for one in predictions], axis=1),
        class_precision=np.stack([_precision(one, targets) for one in predictions], axis=1),
    )


def _fit(scores: np.ndarray, targets: np.ndarray, fit: Callable) -> np.ndarray:
    thresholds = fit(scores, targets)
    positives = (targets == 1).sum(axis=0)
    rare = positives < RARE
    order = np.argsort(positives, kind='stable')
    enough = np.searchsorted(positives[order].cumsum(), RARE) + 1
    pool = order[: max(rare.sum(), enough)]
    thresholds[rare] = fit(scores[:, pool].reshape(-1, 1), targets[:, pool].reshape(-1, 1))
    return thresholds


def _precision(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    hits = (predictions & (targets == 1)).sum(axis=0)
    predicted = (predictions & (targets != -1)).sum(axis=0)
    return np.where(predicted == 0, np.nan, hits / np.maximum(predicted, 1))


def _usable(fitted: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(fitted), FALLBACK, np.minimum(fitted, NEVER))


def threshold_report(tuned: TunedThresholds) -> Group:
    """Return tables of the thresholds and the gains, in percent, and remarks, for rich to print."""
    return Group(_class_table(tuned), '', _gain_table(tuned), '', *map(Text, remarks(tuned)))


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None, pad_edge=False)
    for name in others:
        table.add_column(name, justify='right' if name else 'left', no_wrap=True)
    return table


def _class_table(tuned: TunedThresholds) -> Table:
    precision = ['precision'] if tuned.criterion != 'f1' else []
    table = _table(
        'class', 'threshold', 'positives', *precision, 'F1 at 0.5', 'tuned', 'change', ''
    )
    rows = [(printable(tuned.classes[i]), [i]) for i in np.flatnonzero(~tuned.rare)]
    if tuned.rare.any():
        rows.append((f'{tuned.rare.sum()} rare classes', np.flatnonzero(tuned.rare).tolist()))
    for name, of_row in rows:
        before, after = (100 * class_mean(f1) for f1 in tuned.class_scores[of_row].T)
        table.add_row(
            Text(name),
            f'{tuned.values[of_row[0]]:.4f}',
            str(tuned.positives[of_row].sum()),
            *(_number(100 * class_mean(tuned.class_precision[of_row, 1])) for _ in precision),
            *(_number(before), _number(after), _number(after - before, '+.1f')),
            'precision not reached' if tuned.unreachable[of_row[0]] else '',
        )
    return table


def _gain_table(tuned: TunedThresholds) -> Table:
    table = _table('', 'at 0.5', 'tuned', 'change')
    for name in GAIN_NAMES:
        before, after = 100 * tuned.fold_scores[name].T
        change = _spread(after - before, '+.2f')
        table.add_row(name, _spread(before, '.2f'), _spread(after, '.2f'), change)
    return table


def remarks(tuned: TunedThresholds) -> list[str]:
    """Name the classes that could not be fitted, and say how far the rest can be trusted."""
    folds = len(tuned.fold_scores['CF1'])
    groups = {
        f'with fewer than {RARE} positives, the rare ones, have one threshold together; their F1 '
        'is the mean': tuned.rare,
        'without positives': tuned.positives == 0,
        'without a known negative, where any low threshold is right': tuned.without_negatives,
        f'never with {tuned.criterion}, threshold {NEVER} (not predicted)': tuned.unreachable,
    }
    lines = [
        'All in percent and held-out: each image is predicted at thresholds fitted to the other '
        f'{folds - 1} of {folds} folds (mean ± standard deviation over the folds). On the split '
        'that thresholds are fitted to, they gain by construction, so that is not reported.'
    ]
    for what, mask in groups.items():
        if mask.any():
            names = listed([printable(tuned.classes[i]) for i in np.flatnonzero(mask)], 10)
            lines.append(f'{mask.sum()} of {len(mask)} classes {what}: {names}.')
    return lines


def _number(value: float, form: str = '.1f') -> str:
    return '-' if np.isnan(value) else format(value, form)


def _spread(values: np.ndarray, form: str) -> str:
    values = values[~np.isnan(values)]  # of folds without any positive
    return f'{values.mean():{form}} ± {values.std(ddof=1):.2f}' if len(values) > 1 else '-'


# ---- in a checkpoint

TOOL = 'tools/analysis_tools/tune_thresholds.py'


def check_storable(checkpoint: str | os.PathLike, out: str | os.PathLike | None = None) -> None:
    """Raise what :func:`store_thresholds` would raise; for a check before the long part."""
    read_trained(checkpoint)
    target = Path(out or checkpoint).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f'no folder {target.parent} to write {target.name} to')
    if target.is_dir():
        raise ValueError(f'{target} is a folder: name the file to write')
    for path in (target.parent, target):
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(f'{path} is read-only: name another file to write with --out')


def store_thresholds(
    checkpoint: str | os.PathLike, thresholds: dict, out: str | os.PathLike | None = None
) -> Path:
    """Write the checkpoint with ``meta['thresholds']``; older thresholds are replaced.

    The checkpoint is one of MMEngine's on this machine. Without ``out`` it is replaced itself: the
    file is the old one or the new one at any moment; a link stays a link to it. The thresholds,
    which :func:`stored_thresholds` reads, are plain values only. Returns the file that was written.

    Raises:
        FileNotFoundError: If the checkpoint, or the folder of ``out``, is not there.
        PermissionError: If the file or its folder may not be written.
        ValueError: If the checkpoint is not MMEngine's.
    """
    check_storable(checkpoint, out)
    content = read_trained(checkpoint)
    content['meta']['thresholds'] = thresholds
    target = Path(out or checkpoint).resolve()
    with atomic_write(target) as path:
        torch.save(content, path)
    return target


def read_trained(checkpoint: str | os.PathLike) -> dict:
    """Read a checkpoint of a training; all tensors stay on the CPU."""
    if '://' in os.fspath(checkpoint):
        raise ValueError(f'{checkpoint} is an address: download the file and name that')
    content = load_weights_only(checkpoint, map_location='cpu')
    parts = content if isinstance(content, dict) else {}
    if not all(isinstance(parts.get(key), dict) for key in ('state_dict', 'meta')):
        raise ValueError(
            f'{checkpoint} is no checkpoint of a training: it has no state_dict and meta, where '
            'thresholds are stored'
        )
    return content


def stored_thresholds(meta: dict, classes: Sequence[str]) -> np.ndarray:
    """Return the thresholds ``(C,)``, float64, that ``tune_thresholds.py`` stored in a checkpoint.

    A class is predicted where its score is at least its threshold. Nothing in the file is trusted.

    Args:
        meta (dict): The ``meta`` of a checkpoint. Its ``thresholds`` is a dict with ``classes``,
            the names, and ``values``, a number in ``[0, 1]`` per name. (The rest says where they
            come from: ``criterion``, ``split``, ``num_images``, ``date``, ...)
        classes (Sequence[str]): The names, in the order of the scores.

    Raises:
        ValueError: If there are none, if they are of other classes or in another order, or are not
            numbers in ``[0, 1]``.
    """
    stored = meta.get('thresholds') if isinstance(meta, dict) else None
    if stored is None:
        fix = f'store some with {TOOL}, or name one number for all classes'
        raise ValueError(f'the checkpoint has no thresholds of its own: {fix}')
    if error := _invalid(stored, classes):
        raise ValueError(f'{error}: fit them again with {TOOL}')
    return np.array(stored['values'], dtype=np.float64)


def _invalid(stored: object, classes: Sequence[str]) -> str | None:
    parts = stored if isinstance(stored, dict) else {}
    names, values = parts.get('classes'), parts.get('values')
    if not names or not all(isinstance(each, list | tuple) for each in (names, values)):
        return "the checkpoint's meta.thresholds is not a dict with lists of classes and values"
    if len(values) != len(names):
        return f'the checkpoint has {len(values)} thresholds for {len(names)} classes'
    change = compare_classes(names, classes)
    if change is not None and not change.is_same:
        difference = change.first_difference('the model', "the checkpoint's meta.thresholds")
        return f'the thresholds in the checkpoint are not of the model: {difference}'
    for name, value in zip(names, values, strict=True):
        # A bool is a number to Python; `not` because nan compares false.
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
            wanted = f'must be a number in [0, 1], but is {value!r}'
            return f'the threshold of class {name!r} in the checkpoint {wanted}'
    return None
