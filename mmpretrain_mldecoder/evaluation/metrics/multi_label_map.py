"""Mean average precision for multi-label classification, as a metric of MMEngine."""

import logging
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS
from rich.cells import cell_len, set_cell_size

from ...fileio.terminal import listed, printable
from ..functional import (
    MAP_TYPES,
    SIZE_BINS,
    average_precision,
    class_mean,
    object_size_targets,
)
from ..functional.precision_recall import (
    counts_at_threshold,
    counts_at_topk,
    precision_recall_of_counts,
)
from .gather import class_values, gather_rows, raise_on_all_ranks
from .sample_arrays import sample_arrays

SATURATED = 0.99


@METRICS.register_module()
class MultiLabelMAP(BaseMetric):
    """mAP in percent, and on request the table per class, CP to OF1, and mAP by object size.

    What moves the numbers:

    - AP is not interpolated, tied scores are one threshold, unknown labels (-1) are left out per
      class: see :func:`average_precision`.
    - Classes without positives, or whose known labels are all positive, are skipped, and notes in
      the log count both.
    - A class is named in a warning if every image scores at least 0.99, some of which lack it: the
      margin of the asymmetric loss leaves such scores no gradient (docs/imbalance.md).
    - Every image counts once, whatever the number of processes and however the sampler pads:
      repeated ``sample_idx`` are dropped. Where ``sample_idx`` does not tell ``size`` images apart
      (absent from the data samples, or a concatenated dataset, which counts each part from 0),
      MMEngine's rule holds instead: the samples in the order of its samplers, cut off at ``size``.

    Data samples need ``pred_score``, either ``gt_score`` (1, 0, or -1 for unknown) or ``gt_label``
    (classes in ``gt_label_difficult`` only are unknown, as VOC has it), preferably ``sample_idx``,
    and for ``by_size`` also ``instance_labels`` and ``instance_areas``.

    Args:
        map_type (str): ``'integral'``, ``'envelope'`` or ``'11point'``. Defaults to ``'integral'``.
        missing_class (str): What a class that cannot be scored does to the means: ``'skip'``, or
            ``'zero'`` as in the code of ML-Decoder's authors and MMPretrain, where a class without
            positives counts as 0, one without negatives as 1. Defaults to ``'skip'``.
        per_class (bool): Whether to log a table of all classes with their positives and AP, and
            with negatives and unknown labels if there are any of those. Defaults to False.
        with_f1 (bool): Whether to report CP, CR, CF1, OP, OR and OF1, both at ``thr`` and, named
            like ``CF1_top3``, of the ``topk`` best classes of each image; for the conventions see
            ``functional/precision_recall.py``. Defaults to False.
        thr (float | dict[str, float] | list[tuple[str, float]]): Probability from which on a class
            is predicted, for ``with_f1``: one number, or one per class name. (MMEngine cannot write
            a config with a key such as ``it's`` or ``None``, so pairs are for any names.) Defaults
            to 0.5.
        topk (int, optional): Predictions per image, in ``[1, C]``, for ``with_f1``. Defaults to 3,
            or ``C`` if that is less.
        by_size (bool): Whether to report ``mAP_small``, ``mAP_medium`` and ``mAP_large``, see
            :func:`object_size_targets`; left out, with a warning, if no object's area is known.
            Defaults to False.
        collect_device (str): Has no effect: arrays travel over the process group and are kept in
            main memory. Defaults to ``'cpu'``.
        prefix (str, optional): Prefix of the keys. Defaults to ``'coco'``: the main key is
            ``coco/mAP``.

    Attributes:
        class_positives, class_ap (np.ndarray): Positives and AP (a fraction; nan where a class
            cannot be scored) of each class, ``(C,)``, when last computed; None before.

    Example:
        >>> scores = np.array([[0.9, 0.2], [0.4, 0.8], [0.1, 0.3]])
        >>> targets = np.array([[1, 0], [0, 0], [1, 1]])
        >>> MultiLabelMAP().compute(scores, targets)
        {'mAP': 66.66666666666666}
    """

    default_prefix = 'coco'

    def __init__(
        self,
        map_type: str = 'integral',
        missing_class: str = 'skip',
        per_class: bool = False,
        with_f1: bool = False,
        thr: float | dict[str, float] | list[tuple[str, float]] = 0.5,
        topk: int | None = None,
        by_size: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        # A typing error in a config should show now, not after the first epoch.
        if map_type not in MAP_TYPES:
            raise ValueError(f'map_type must be one of {MAP_TYPES}, got {map_type!r}.')
        if missing_class not in ('skip', 'zero'):
            raise ValueError(f"missing_class must be 'skip' or 'zero', got {missing_class!r}.")
        for name, value, default in (('thr', thr, 0.5), ('topk', topk, None)):
            if value != default and not with_f1:
                raise ValueError(f'{name} = {value!r} does nothing without with_f1=True: set both')
        self.thr = dict(thr) if isinstance(thr, list | tuple) else thr
        for name, value in (self.thr if isinstance(self.thr, dict) else {'': self.thr}).items():
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f'thr must be a probability from 0 to 1, got {name} {value!r}')
        if topk is not None and (not isinstance(topk, int) or topk < 1):
            raise ValueError(f'topk must be one int of at least 1, got {topk!r}')
        self.map_type = map_type
        self.missing_class = missing_class
        self.per_class = per_class
        self.with_f1 = with_f1
        self.topk = topk
        self.by_size = by_size
        self.class_positives: np.ndarray | None = None
        self.class_ap: np.ndarray | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the arrays of one batch of data samples, given as dicts or ``DataSample``."""
        if len(data_samples):
            classes = (self.dataset_meta or {}).get('classes')
            self.results.append(sample_arrays(data_samples, classes, self.by_size))

    def evaluate(self, size: int) -> dict:
        """Return the metrics over all ranks, prefixed names to percent, and drop the results.

        Differs from the host's in: scores stay with the rank that predicted them; an error on one
        rank is raised on all; a mean over no class at all is left out. The dataset has ``size``
        images. Raises ``ValueError`` if no rank has seen a sample, or a score is NaN.
        """
        batches = [self._empty_batch(), *self.results]
        metrics = self.compute_metrics(self._each_image_once(batches, size))
        self.results.clear()
        known = {name: value for name, value in metrics.items() if not np.isnan(value)}
        if unknown := sorted(metrics.keys() - known.keys()):
            print_log(
                f'{self.prefix}: {", ".join(unknown)} not reported, as no class has positives '
                'and negatives.',
                logger='current',
                level=logging.WARNING,
            )
        return {f'{self.prefix}/{name}': value for name, value in known.items()}

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Return the metrics of the rows of all ranks, see :meth:`compute`.

        Differs from the host's in: every rank calls it, with its own rows (one batch at least,
        perhaps empty; each image in one row of one rank), and computes the AP of its share of the
        classes, for which it gets the columns of few of them at a time.
        """
        with raise_on_all_ranks():
            _refuse_nan(results)
            # One by one: with many classes the counts of all batches would fill the memory.
            own = (self._row_counts(batch['scores'], batch['targets']) for batch in results)
            counts = torch.from_numpy(reduce(np.add, own))
        names = ['scores', 'targets', *(['size_masks'] if self.by_size else [])]
        values = class_values(results, names, self._class_values)
        if self.with_f1:
            all_reduce(counts)
        return self._metrics(values, counts.numpy())

    def compute(
        self, scores: np.ndarray, targets: np.ndarray, size_masks: np.ndarray | None = None
    ) -> dict[str, float]:
        """Return the metrics of plain arrays ``(N, C)``, names without prefix to percent.

        Scores are probabilities, targets 1 positive, 0 negative, -1 unknown; ``size_masks``, one
        :func:`object_size_mask` per image, are needed for ``by_size``.
        """
        values = self._class_values(scores, targets, size_masks)
        return self._metrics(values, self._row_counts(scores, targets))

    def _class_values(
        self, scores: np.ndarray, targets: np.ndarray, size_masks: np.ndarray | None = None
    ) -> np.ndarray:
        """Return ``(5, C)``: AP, numbers of positive, negative and unknown labels, lowest score.

        With ``by_size`` follow AP and number of positives of each size, and the number of positives
        of known size.
        """
        targets = np.asarray(targets)

        def ap(targets: np.ndarray) -> np.ndarray:
            without_negatives = 1.0 if self.missing_class == 'zero' else np.nan
            return average_precision(scores, targets, self.map_type, without_negatives)

        values = [ap(targets), *((targets == label).sum(axis=0) for label in (1, 0, -1))]
        values.append(np.min(scores, axis=0, initial=1))
        if self.by_size:
            if size_masks is None:
                raise ValueError('by_size=True needs size_masks, one object_size_mask per image.')
            for size in SIZE_BINS:
                sized = object_size_targets(targets, size_masks, size)
                values += [ap(sized), (sized == 1).sum(axis=0)]
            values.append(((targets == 1) & (size_masks != 0)).sum(axis=0))
        return np.stack(values)

    def _row_counts(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return ``(2, 3, C)`` counts at the threshold and at top-k, or nothing without F1."""
        if not self.with_f1:
            return np.empty((0, 3, 0), dtype=np.int64)
        thr = self._thresholds(np.shape(scores)[1])
        at_thr = counts_at_threshold(scores, targets, thr)
        return np.stack([at_thr, counts_at_topk(scores, targets, self._topk(len(at_thr[0])))])

    def _metrics(self, values: np.ndarray, counts: np.ndarray) -> dict[str, float]:
        """Name and average what :meth:`_class_values` and :meth:`_row_counts` give; log notes."""
        ap, positives, negatives, unknown, lowest, *of_sizes = values
        self.class_positives, self.class_ap = positives.astype(np.int64), ap
        self._warn_of_saturated((lowest >= SATURATED) & (negatives > 0), negatives)
        metrics = dict(mAP=self._mean(ap, 'mAP', positives > 0))
        if self.per_class:
            counts_of_classes = dict(positives=positives)
            if unknown.any():
                counts_of_classes |= dict(negatives=negatives, unknown=unknown)
            table = class_table(self._class_names(len(ap)), counts_of_classes, ap)
            print_log(f'{self.prefix}/AP per class:\n{table}', logger='current')
        if self.by_size:
            *of_sizes, sized = of_sizes
            number, known = int(positives.sum()), int(sized.sum())
            if known < number:
                print_log(
                    f'{self.prefix}: the areas of {number - known} of {number} labels are unknown '
                    '(absent or 0 in the annotations): they are left out of mAP by size'
                    f'{"" if known else ", which is not reported"}.',
                    logger='current',
                    level=logging.WARNING,
                )
            bins = zip(SIZE_BINS, of_sizes[::2], of_sizes[1::2], strict=True)
            for size, sized_ap, its in bins if known or not number else ():
                metrics[f'mAP_{size}'] = self._mean(sized_ap, f'mAP_{size}', its > 0)
        if self.with_f1:
            at_thr, at_topk = (precision_recall_of_counts(c, self.missing_class) for c in counts)
            metrics.update({name: 100 * value for name, value in at_thr.items()})
            topk = self._topk(len(ap))
            metrics.update({f'{name}_top{topk}': 100 * value for name, value in at_topk.items()})
        return metrics

    def _topk(self, num_classes: int) -> int:
        return min(3, num_classes) if self.topk is None else self.topk

    def _thresholds(self, num_classes: int) -> float | np.ndarray:
        """Return ``thr`` in the order of the scores."""
        if not isinstance(self.thr, dict):
            return self.thr
        classes = self._class_names(num_classes)
        if set(classes) != set(self.thr):
            other = sorted(set(classes) ^ set(self.thr), key=str)
            only = ', '.join(printable(str(name)) for name in other[:5])
            raise ValueError(
                f'thr must name each class once: {len(classes)} classes, {len(self.thr)} '
                f'thresholds, and only on one side: {only}'
            )
        return np.array([self.thr[name] for name in classes], dtype=np.float64)

    def _empty_batch(self) -> dict[str, np.ndarray]:
        """Return a batch of 0 rows: a rank without images learns the number of classes here."""
        own = torch.tensor([self.results[0]['scores'].shape[1] if self.results else 0])
        num_classes = int(torch.cat(all_gather(own)).max())
        if num_classes == 0:
            raise ValueError(
                f'{type(self).__name__} has no sample to evaluate: the dataset is empty, or '
                '`process` was never called.'
            )
        dtypes = dict(scores=np.float32, targets=np.int8, size_masks=np.uint8)
        batch = {name: np.empty((0, num_classes), dtype) for name, dtype in dtypes.items()}
        return batch | dict(sample_idx=np.empty(0, np.int64))

    def _each_image_once(self, batches: list[dict], size: int) -> list[dict]:
        """Drop this rank's rows that repeat an image."""
        sample_idx = np.concatenate([batch['sample_idx'] for batch in batches])
        own = np.stack([sample_idx, np.full_like(sample_idx, get_rank())], axis=1)
        sample_idx, ranks = gather_rows(torch.from_numpy(own)).numpy().T
        counts = np.zeros(len(sample_idx), dtype=bool)
        counts[self._rows_to_count(sample_idx, size)] = True
        ends = np.cumsum([len(batch['sample_idx']) for batch in batches])
        chosen = np.split(counts[ranks == get_rank()], ends[:-1])
        return [
            batch if rows.all() else {name: array[rows] for name, array in batch.items()}
            for batch, rows in zip(batches, chosen, strict=True)
        ]

    def _rows_to_count(self, sample_idx: np.ndarray, size: int) -> np.ndarray:
        """Return the positions of the rows that count, each image once."""
        distinct, first = np.unique(sample_idx, return_index=True)
        if 0 < len(distinct) == size and distinct[0] >= 0:
            return first
        rows = np.arange(min(size, len(sample_idx)))
        if get_world_size() > 1 or len(rows) < size:
            print_log(
                f'{self.prefix}: sample_idx tells {len(distinct)} images apart, the dataset has '
                f'{size}. The first {len(rows)} samples in the order of the sampler are counted.',
                logger='current',
                level=logging.WARNING,
            )
        return rows

    def _mean(self, ap: np.ndarray, name: str, has_positives: np.ndarray) -> float:
        """Return the mean AP in percent; log how many classes could not be scored, and why."""
        what = 'skipped' if self.missing_class == 'skip' else 'counted as 0'
        classes = self._class_names(len(ap))
        reasons = {'no positive image': ~has_positives, 'no negative image': has_positives}
        for reason, its in reasons.items():
            missing = np.flatnonzero(np.isnan(ap) & its)
            if missing.size:
                names = printable(listed([classes[i] for i in missing.tolist()], 10))
                print_log(
                    f'{self.prefix}/{name}: {missing.size} of {len(ap)} classes are {what}, as '
                    f'they have {reason} among the known labels: {names}.',
                    logger='current',
                )
        return 100 * class_mean(ap, self.missing_class)

    def _warn_of_saturated(self, classes: np.ndarray, negatives: np.ndarray) -> None:
        names = self._class_names(len(classes))
        found = [
            f'{names[i]} ({negatives[i]:.0f} images are known to lack it)'
            for i in np.flatnonzero(classes).tolist()
        ]
        if found:
            print_log(
                f'{self.prefix}: every image scores at least {SATURATED} for '
                f'{printable(listed(found, 10))}. The margin of the asymmetric loss leaves such '
                'scores no gradient, so further epochs hardly change them: train with clip=0 in '
                'the loss (docs/imbalance.md).',
                logger='current',
                level=logging.WARNING,
            )

    def _class_names(self, num_classes: int) -> Sequence[str]:
        """Names from the dataset, or the indices where there is none (offline)."""
        return (self.dataset_meta or {}).get('classes') or [str(i) for i in range(num_classes)]


def _refuse_nan(results: list[dict]) -> None:
    """Raise for a NaN with its image, which is not known once rows are gathered."""
    for batch in results:
        wrong = np.isnan(batch['scores'])
        if wrong.any():
            row, label = np.argwhere(wrong)[0]
            raise ValueError(
                f'scores are NaN, the first one for sample {batch["sample_idx"][row]}, class '
                f'{label}: the model has diverged, or an operation overflowed in half precision.'
            )


def class_table(
    classes: Sequence[str], counts: Mapping[str, np.ndarray], ap: np.ndarray, width: int = 120
) -> str:
    """Return a table of name, counts (by title) and AP per class, in as many columns as fit.

    The classes keep their order and run down the first column, then down the next. AP, a fraction,
    is printed in percent, ``-`` for nan.
    """
    header = ('class', *counts, 'AP')
    cells = [
        (printable(name), *(f'{count:.0f}' for count in of_class), f'{100 * value:.2f}')
        for name, value, *of_class in zip(classes, ap, *counts.values(), strict=True)
    ]
    cells = [(*cell, '-' if value == 'nan' else value) for *cell, value in cells]
    name_width = max(cell_len(name) for name, *_ in [header, *cells])
    gap = '  |  '
    column_width = name_width + len(f'  {"":9}' * len(counts) + f'  {"":6}')
    num_columns = max(1, (width + len(gap)) // (column_width + len(gap)))
    num_rows = -(-len(cells) // num_columns)
    rows = [cells[row::num_rows] for row in range(num_rows)]
    return '\n'.join(
        gap.join(
            set_cell_size(name, name_width)
            + ''.join(f'  {count:>9}' for count in of_class)
            + f'  {value:>6}'
            for name, *of_class, value in row
        )
        for row in [[header] * len(rows[0]), *rows]
    )
