"""Mean average precision for multi-label classification, as a metric of MMEngine."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather, broadcast_object_list, get_world_size, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS

from ..functional import (
    SIZE_BINS,
    average_precision,
    class_mean,
    object_size_targets,
    precision_recall_at_threshold,
    precision_recall_at_topk,
)
from .class_table import class_table
from .gather_rows import gather_rows
from .sample_arrays import sample_arrays


@METRICS.register_module()
class MultiLabelMAP(BaseMetric):
    """mAP in percent, and on request the table per class, CP to OF1, and mAP by object size.

    What moves the numbers:

    - AP is not interpolated, tied scores are one threshold, unknown labels (-1) are left out per
      class: see :func:`average_precision`.
    - Classes without positives are skipped, and a note in the log counts them.
    - Every image counts once, whatever the number of processes and however the sampler pads:
      repeated ``sample_idx`` are dropped. Where ``sample_idx`` does not tell ``size`` images apart
      (absent from the data samples, or a concatenated dataset, which starts anew for each part),
      MMEngine's rule holds instead: the samples in the order of its samplers, cut off at ``size``.

    Data samples need ``pred_score``, either ``gt_score`` (1, 0, or -1 for unknown) or ``gt_label``,
    preferably ``sample_idx``, and for ``by_size`` also ``instance_labels`` and ``instance_areas``.

    Args:
        map_type (str): ``'integral'`` or ``'11point'``. Defaults to ``'integral'``.
        missing_class (str): What a class without positives does to the means: ``'skip'``, or
            ``'zero'`` as in the code of ML-Decoder's authors and MMPretrain. Defaults to
            ``'skip'``.
        per_class (bool): Whether to log a table of all classes with their positives and AP.
            Defaults to False.
        with_f1 (bool): Whether to report CP, CR, CF1, OP, OR and OF1, both at ``thr`` and, named
            like ``CF1_top3``, of the ``topk`` best classes of each image; for the conventions see
            ``functional/precision_recall.py``. Defaults to False.
        thr (float | dict[str, float]): Probability from which on a class is predicted, for
            ``with_f1``: one number, or one for each name of the classes. Defaults to 0.5.
        topk (int): Predictions per image, in ``[1, C]``, for ``with_f1``. Defaults to 3.
        by_size (bool): Whether to report ``mAP_small``, ``mAP_medium`` and ``mAP_large``, see
            :func:`object_size_targets`. Defaults to False.
        collect_device (str): As in other metrics, ``'cpu'`` or ``'gpu'``. It changes nothing here:
            arrays travel the way the process group provides and are kept in main memory, without
            shared files. Defaults to ``'cpu'``.
        prefix (str, optional): What stands before the keys. Defaults to ``'coco'``: the main key is
            ``coco/mAP``.

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
        thr: float | dict[str, float] = 0.5,
        topk: int = 3,
        by_size: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        # A typing error in a config should show now, not after the first epoch.
        if map_type not in ('integral', '11point'):
            raise ValueError(f"map_type must be 'integral' or '11point', got {map_type!r}.")
        if missing_class not in ('skip', 'zero'):
            raise ValueError(f"missing_class must be 'skip' or 'zero', got {missing_class!r}.")
        self.map_type = map_type
        self.missing_class = missing_class
        self.per_class = per_class
        self.with_f1 = with_f1
        self.thr = thr
        self.topk = topk
        self.by_size = by_size

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the arrays of one batch of data samples, given as dicts or ``DataSample``."""
        if len(data_samples):
            classes = (self.dataset_meta or {}).get('classes')
            self.results.append(sample_arrays(data_samples, classes, self.by_size))

    def evaluate(self, size: int) -> dict:
        """Compute the metrics over all processes, and forget the results.

        Differs from the host's in: arrays are gathered, not a pickle per sample.

        Args:
            size (int): Number of images in the dataset.

        Returns:
            dict: Prefixed names to percent, the same on every process.

        Raises:
            ValueError: If no process has seen a sample.
        """
        arrays = self._gather()
        metrics = [None]
        if is_main_process():
            keep = self._rows_to_count(arrays.pop('sample_idx'), size)
            results = [{name: array[keep] for name, array in arrays.items()}]
            metrics = [{f'{self.prefix}/{k}': v for k, v in self.compute_metrics(results).items()}]
        broadcast_object_list(metrics)
        self.results.clear()
        return metrics[0]

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Return the metrics of the concatenated results, see :meth:`compute`."""
        names = ('scores', 'targets', *(['size_masks'] if self.by_size else []))
        return self.compute(**{n: np.concatenate([part[n] for part in results]) for n in names})

    def compute(
        self, scores: np.ndarray, targets: np.ndarray, size_masks: np.ndarray | None = None
    ) -> dict[str, float]:
        """Return the metrics of plain arrays: what reports and offline tools call.

        Args:
            scores (np.ndarray): Probabilities.
            targets (np.ndarray): 1 positive, 0 negative, -1 unknown.
            size_masks (np.ndarray, optional): One :func:`object_size_mask` per image; needed for
                ``by_size``.

        Shape:
            - scores, targets, size_masks: ``(N, C)``.

        Returns:
            dict[str, float]: Names without prefix to percent.
        """
        ap = average_precision(scores, targets, self.map_type)
        metrics = dict(mAP=self._mean(ap, 'mAP'))
        if self.per_class:
            positives = (np.asarray(targets) == 1).sum(axis=0)
            table = class_table(self._class_names(len(ap)), positives, ap)
            print_log(f'{self.prefix}/AP of every class:\n{table}', logger='current')
        if self.by_size:
            if size_masks is None:
                raise ValueError('by_size=True needs size_masks, one object_size_mask per image.')
            for size in SIZE_BINS:
                sized = object_size_targets(targets, size_masks, size)
                sized_ap = average_precision(scores, sized, self.map_type)
                metrics[f'mAP_{size}'] = self._mean(sized_ap, f'mAP_{size}')
        if self.with_f1:
            thr = self._thresholds(len(ap))
            at_thr = precision_recall_at_threshold(scores, targets, thr, self.missing_class)
            at_topk = precision_recall_at_topk(scores, targets, self.topk, self.missing_class)
            metrics.update({name: 100 * value for name, value in at_thr.items()})
            metrics.update({f'{n}_top{self.topk}': 100 * value for n, value in at_topk.items()})
        return metrics

    def _thresholds(self, num_classes: int) -> float | np.ndarray:
        """Return ``thr`` in the order of the scores."""
        if not isinstance(self.thr, dict):
            return self.thr
        classes = self._class_names(num_classes)
        if set(classes) != set(self.thr):
            other = sorted(set(classes) ^ set(self.thr))
            raise ValueError(
                f'thr must name each class once: {len(classes)} classes, {len(self.thr)} '
                f'thresholds, and only on one side: {", ".join(map(str, other[:5]))}'
            )
        return np.array([self.thr[name] for name in classes], dtype=np.float64)

    def _gather(self) -> dict[str, np.ndarray] | None:
        """Return the arrays of all processes on the main one, None on the others."""
        num_classes = torch.tensor([self.results[0]['scores'].shape[1] if self.results else 0])
        # A process that got no image takes part with arrays of 0 rows.
        num_classes = int(torch.cat(all_gather(num_classes)).max())
        if num_classes == 0:
            raise ValueError(
                f'{type(self).__name__} has no sample to evaluate: the dataset is empty, or '
                '`process` was never called.'
            )
        empty = dict(
            sample_idx=np.empty(0, np.int64),
            scores=np.empty((0, num_classes), np.float32),
            targets=np.empty((0, num_classes), np.int8),
        )
        if self.by_size:
            empty['size_masks'] = np.empty((0, num_classes), np.uint8)
        gathered = {}
        for name, nothing in empty.items():
            own = np.concatenate([nothing, *(batch[name] for batch in self.results)])
            rows = gather_rows(torch.from_numpy(own))
            gathered[name] = rows.numpy() if is_main_process() else None
        return gathered if is_main_process() else None

    def _rows_to_count(self, sample_idx: np.ndarray, size: int) -> np.ndarray:
        """Return the positions of the rows that count, each image once."""
        distinct, first = np.unique(sample_idx, return_index=True)
        if len(distinct) == size and distinct[0] >= 0:
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

    def _mean(self, ap: np.ndarray, name: str) -> float:
        """Return the mean AP in percent; log how many classes could not be scored."""
        missing = np.flatnonzero(np.isnan(ap))
        if missing.size:
            what = 'skipped' if self.missing_class == 'skip' else 'counted as 0'
            classes = self._class_names(len(ap))
            names = ', '.join(classes[i] for i in missing[:10])
            print_log(
                f'{self.prefix}/{name}: {missing.size} of {len(ap)} classes have no positive image '
                f'and are {what}: {names}{", ..." if missing.size > 10 else ""}.',
                logger='current',
            )
        return 100 * class_mean(ap, self.missing_class)

    def _class_names(self, num_classes: int) -> Sequence[str]:
        """Names from the dataset, or the indices where there is none (offline)."""
        return (self.dataset_meta or {}).get('classes') or [str(i) for i in range(num_classes)]
