"""Atomic dump of predictions."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import DumpResults
from mmengine.fileio import dump
from mmpretrain.structures import DataSample
from torch import Tensor

from ...fileio.atomic_write import atomic_write


class AtomicDumpResults(DumpResults):
    """MMEngine's ``DumpResults`` that writes to a temporary name and then renames.

    The ``.pkl`` or ``.pickle`` is MMEngine's: a pickled list with one dict per sample, in the order
    of the dataset. Where a :class:`DualEMAHook` tests both weights, ``pred_score`` is that of the
    EMA and ``pred_score_raw`` that of the raw weights. The first dict also has the names of the
    ``classes``, in the order of the scores.

    Differs from MMEngine's in: a tensor is written with its own values only, where a row of a batch
    brings the whole batch with it; bytes are written as bytes (pickle protocol 4 instead of 2).
    """

    def process(self, data_batch: Any, predictions: Sequence[dict]) -> None:
        super().process(data_batch, predictions)
        for sample in self.results[len(self.results) - len(predictions) :]:
            for key, value in sample.items():
                if isinstance(value, Tensor):
                    sample[key] = value.clone()

    def add_raw(self, data_samples: Sequence[DataSample]) -> None:
        """Put the raw weights' scores beside those of the batch that was processed last.

        The samples are in the order of that batch; those without ``pred_score``, as of other tasks,
        are skipped.
        """
        batch = self.results[len(self.results) - len(data_samples) :]
        for result, sample in zip(batch, data_samples, strict=True):
            if 'pred_score' in sample:
                result['pred_score_raw'] = sample.pred_score.cpu().clone()

    def compute_metrics(self, results: list) -> dict:
        if results and (classes := (self.dataset_meta or {}).get('classes')):
            results = [dict(results[0], classes=[*map(str, classes)]), *results[1:]]
        with atomic_write(self.out_file_path) as path:
            dump(results, path, file_format='pkl', protocol=4)
        return {}
