"""Predictions in a file that is either whole or absent."""

import os

from mmengine.evaluator import DumpResults
from mmengine.fileio import dump


class AtomicDumpResults(DumpResults):
    """MMEngine's ``DumpResults`` that writes to a temporary name and then renames.

    The file is MMEngine's: a pickled list with one dict a sample, in the order of the dataset.

    Args:
        out_file_path (str): Ends with ``.pkl`` or ``.pickle``.
    """

    def compute_metrics(self, results: list) -> dict:
        partial = f'{self.out_file_path}.tmp'
        dump(results, partial, file_format='pkl')
        os.replace(partial, self.out_file_path)
        return {}
